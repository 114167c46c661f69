"""``provost runs``: Flyte's executions beside the store's failure records."""

import json

import jsonschema
import pytest
from click.testing import CliRunner

from lineage.records.derivation import FlyteRun
from tasks.platform.failure import Failure, Work, failures, leave_record
from tasks.platform.step_runner import StepRunner
from tests.support.admin import serving
from tests.support.mirrors import MemoryMirror
from workflows.cli import main
from workflows.commands.schemas import schema_of

pytestmark = pytest.mark.usefixtures("tracked_home")
SENTENCE = "math@1 was recalled: leak"
SAID = f"Trace:\n\n    FailedError: {SENTENCE}\n\nMessage:\n\n    FailedError: {SENTENCE}"


@pytest.fixture
def admin(monkeypatch):
    with serving() as (service, address):
        monkeypatch.setenv("FLYTE_PLATFORM_URL", address)
        monkeypatch.setenv("FLYTE_PLATFORM_INSECURE", "true")
        yield service


def asked(*options):
    result = CliRunner().invoke(main, ["runs", "consolidation", "--domain", "staging", *options])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.output


def listed(*options):
    code, told = asked("--json", *options)
    document = json.loads(told)
    jsonschema.validate(document, schema_of("runs"))
    return code, document


def recorded(execution, sentence="math@1 was recalled: leak"):
    run = FlyteRun(project="consolidation", domain="staging", execution=execution)
    leave_record(
        StepRunner(run=run, mirror=MemoryMirror()),
        Failure("task", "RecalledError", sentence),
        Work(),
    )


def test_every_run_is_listed_newest_first_over_pages_with_its_phase_and_reason(admin):
    admin.ran("f1", "SUCCEEDED")
    admin.ran("f2", "FAILED", error=SAID)
    admin.ran("f3", "ABORTED", cause="wrong teachers", aborted_by="ann", launcher="bea")
    admin.ran("f4", "TIMED_OUT", error="the step ran out of time")
    admin.ran("f5", "RUNNING")
    admin.ran("elsewhere", "FAILED", domain="production")
    recorded("f2")
    code, document = listed()
    assert code == 1
    assert [(run["execution"], run["phase"], run["reason"]) for run in document["runs"]] == [
        ("f5", "RUNNING", ""),
        ("f4", "TIMED_OUT", "the step ran out of time"),
        ("f3", "ABORTED", "wrong teachers (ann)"),
        ("f2", "FAILED", "math@1 was recalled: leak"),
        ("f1", "SUCCEEDED", ""),
    ]
    assert [run["execution"] for run in document["runs"] if run["record"]] == ["f2"]
    assert document["unrecorded"] == 2


def test_a_project_of_several_pages_is_listed_whole(admin):
    for number in range(230):
        admin.ran(f"f{number}", "SUCCEEDED")
    code, document = listed("--last", "230")
    assert code == 0
    assert [run["execution"] for run in document["runs"]] == [f"f{n}" for n in reversed(range(230))]
    assert len(listed("--last", "200")[1]["runs"]) == 200  # two pages, and no third


def test_a_long_reason_is_shown_and_recorded_whole_although_lists_cut_it(admin):
    sentence = f"the teachers {'math@1 ' * 40}do not fit"
    admin.ran("f1", "FAILED", error=f"Trace:\n\n    FailedError: {sentence}")
    assert listed("--record")[1]["runs"][0]["reason"] == sentence
    [(record, _)] = failures(StepRunner())
    assert StepRunner().records.read(record).settings["error"] == sentence


def test_who_launched_is_listed_and_is_not_who_aborted(admin):
    admin.ran("f1", "ABORTED", cause="wrong teachers", aborted_by="ann", launcher="bea")
    [run] = listed()[1]["runs"]
    assert (run["launched_by"], run["reason"]) == ("bea", "wrong teachers (ann)")


def test_a_run_with_all_its_records_succeeded_and_the_latest_can_be_selected(admin):
    admin.ran("f1", "FAILED", error=SAID)
    admin.ran("f2", "FAILED", error=SAID)
    recorded("f2")
    code, document = listed("--last", "1")
    assert (code, document["unrecorded"]) == (0, 0)
    assert [run["execution"] for run in document["runs"]] == ["f2"]


@pytest.mark.parametrize("phase", ["FAILED", "ABORTED", "TIMED_OUT"])
def test_a_failure_without_a_record_gets_one_and_only_one(admin, phase):
    admin.ran("f1", phase, error="Pod failed. OOMKilled: exit code 137")
    assert listed()[0] == 1
    assert list(failures(StepRunner())) == []
    code, document = listed("--record")
    assert (code, document["unrecorded"]) == (0, 0)
    assert listed("--record")[0] == 0
    [(record, attested)] = failures(StepRunner())
    assert attested.flyte.name == "consolidation/staging/f1"
    assert document["runs"][0]["record"] == record
    settings = StepRunner().records.read(record).settings
    assert (settings["phase"], settings["error"]) == (phase, "Pod failed. OOMKilled: exit code 137")


def test_a_table_marks_what_is_missing(admin):
    admin.ran("f1", "FAILED", error=SAID)
    code, told = asked("--failed")
    assert code == 1
    assert "MISSING" in told
    assert "recalled" in told


def test_a_cluster_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setenv("FLYTE_PLATFORM_URL", "127.0.0.1:9")
    monkeypatch.setenv("FLYTE_PLATFORM_INSECURE", "true")
    code, told = asked()
    assert code == 1
    assert "127.0.0.1:9" in told
    assert "StatusCode" not in told
    assert len(told.splitlines()) == 1
