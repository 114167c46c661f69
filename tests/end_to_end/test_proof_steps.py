"""The proof's own steps on a small consolidation: the control, the scorecard, and a climb's row."""

import json

import pytest

from benchmarks.common.prompt_rows import scorecard_of
from benchmarks.common.results import load
from benchmarks.real import own
from benchmarks.real.metered import REST, metered
from benchmarks.real.settings import OFF_POLICY_RATE
from benchmarks.real.table import METHODS
from lineage.artifacts import Artifact
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.platform.step_runner import StepRunner
from tests.support.runs import Maker
from tests.support.tiny_faculty import copy_home, home_at

pytestmark = pytest.mark.medium


@pytest.fixture(scope="module")
def home(home_with_candidate, teams_on_path, tmp_path_factory):
    """A consolidation under the name that the proof gives to its student."""
    folder = tmp_path_factory.mktemp("proof") / "home"
    copy_home(home_with_candidate, folder)
    with home_at(folder):
        registry = Registry(open_store())
        [entry] = registry.versions("student.general")
        student = Artifact(kind=entry.kind, digest=entry.digest, record=entry.record)
        registry.register(f"student.{own.student_name(0)}", student, owner=entry.owner)
        yield folder


def test_the_control_starts_where_the_student_did_and_learns_from_both_teachers(home, tmp_path):
    with metered(tmp_path / "spent.json"):
        made = own.off_policy("0", "2")
    records = Records(open_store())
    outputs = {record: records.output(record) for record in records.all()}
    [record] = [name for name, made_by in outputs.items() if made_by.output == made["student"]]
    derivation = records.read(record)
    assert derivation.kind == "warm_up"
    assert derivation.settings["learning_rate"] == OFF_POLICY_RATE
    assert derivation.settings["steps_per_teacher"] == 2
    assert sorted(i.name for i in derivation.inputs if i.role == "teacher") == ["shout", "whisper"]
    assert own.off_policy("0", "2") == made


def test_the_scorecard_holds_every_method_of_the_table(home):
    found = own.scorecard("0", "2")
    rows = json.loads(json.dumps(found[own.PROMPTS]))  # as they are written
    assert scorecard_of(rows).document() == found["card"]
    overall = found["card"]["overall"]
    assert set(METHODS) - {own.WARM_UP} <= overall.keys()  # this student had no warm-up
    assert own.WARM_UP not in overall
    assert own.OFF_POLICY in found["card"]["paired"]["overall"]


def test_a_warmed_student_is_found_behind_the_rounds_of_mopd(home):
    runner = StepRunner()
    make = Maker(runner)
    warmed = make.checkpoint(1, "warm_up", inputs=[("student", make.checkpoint(0))])
    first = make.checkpoint(2, "mopd", inputs=[("student", warmed)])
    second = make.checkpoint(3, "mopd", inputs=[("student", first)])
    assert own.warmed_student(runner, second) == warmed
    cold = make.checkpoint(4, "mopd", inputs=[("student", make.checkpoint(0))])
    assert own.warmed_student(runner, cold) is None
    runner.store.blobs.path(warmed.digest).unlink()
    assert own.warmed_student(runner, second) is None


def test_a_climb_is_shown_from_fork_point_over_sft_to_teacher(home):
    row = own.climbed("shout")
    assert row["reference"] == "shout@1"
    assert row["scores"].keys() == {"fork_point", "teacher", "after_sft"}
    gain = row["scores"]["teacher"] - row["scores"]["fork_point"]
    assert row["gain"]["mean"] == pytest.approx(gain, abs=1e-3)
    assert row["gain"]["low"] <= row["gain"]["mean"] <= row["gain"]["high"]


def test_the_meter_finds_the_kind_of_what_was_made(home, tmp_path):
    file = tmp_path / "spent.json"
    with metered(file):
        own.off_policy("0", "3")
    spent = load(file, {})
    assert spent["warm_up"] > 0
    assert spent.keys() == {"warm_up", REST}
