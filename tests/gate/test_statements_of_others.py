"""What another team attests about a consolidation's work changes no answer about it.

Anybody may sign records of his own project that take a plan, a scorecard or a student of others, or
say that they gave the same bytes. Such a record counts in no question about the original.
"""

import json

import pytest

from lineage.export.openlineage import failures as failed_attempts
from lineage.export.subject import subject_of
from lineage.launches.history import launches
from lineage.launches.launch import Launched
from lineage.records.derivation import FlyteRun
from lineage.records.record import Input, Records
from lineage.view.summary import report_of
from tasks.attribution.caveats import _plan_named
from tasks.contracts.review import rejections
from tasks.gate.decision import _plan_of
from tasks.gate.probe_step import other_starts
from tasks.platform.failure import failures, of_execution
from tasks.platform.step_runner import StepRunner
from tests.support.making import checkpoint, take, write_record
from tests.support.mirrors import MemoryMirror
from tests.support.teams import Shared

RUN = FlyteRun(project="consolidation", domain="production", execution="f123")
FORM = Launched(inputs={"teachers": ["math@1"]}, preset="large").model_dump(mode="json")
TEACHER = {"reference": "teacher.math@1", "domain": "math", "owner": "team-math", "share": 1.0}


@pytest.fixture
def shared(tmp_path):
    return Shared(tmp_path / "shared")


@pytest.fixture
def planned(shared):
    """A launched plan of the consolidation: (record, digest)."""
    store = shared.consolidation
    start = write_record(store, b"start")
    made = write_record(
        store,
        json.dumps({"teachers": [TEACHER], "notes": []}).encode(),
        take("student", start),
        kind="plan",
        output_kind="plan",
    )
    write_record(store, b"form", take("plan", made), kind="launch", flyte=RUN, **FORM)
    return made


def of_plan(shared, planned):
    found, problems = launches(shared.consolidation)
    return [launch for launch in found if launch.plan == planned[1]], problems


APPROVED = {"review": {"decision": "approved", "by": "ann", "way": "command"}}
SAID = [
    ("launch", {**FORM, "preset": "theirs"}, {}),
    ("approval", {"decision": "approved"}, {"notes": APPROVED}),
    ("failure", {"error": "it never ran"}, {}),
    ("waiver", {"plan": "p", "findings": [], "reason": "r", "at": "now"}, {}),
    ("waiver", {"of no form": 1}, {}),
    ("gate", {"teachers": [{"name": "math", "verdict": "does not fit"}]}, {}),
    ("gate", {"teachers": [{"of no form": 1}]}, {}),
    ("student", {}, {"output_kind": "student"}),
]


@pytest.mark.parametrize(("kind", "settings", "attested"), SAID)
def test_a_launch_is_described_by_the_records_of_its_own_project(
    shared, planned, kind, settings, attested
):
    before = of_plan(shared, planned)
    assert (len(before[0]), before[1]) == (1, [])
    takes = take("plan", planned)
    write_record(shared.code, b"said", takes, kind=kind, flyte=RUN, **attested, **settings)
    assert of_plan(shared, planned) == before


def test_a_plan_that_others_made_of_a_plan_hides_no_launch(shared, planned):
    before = of_plan(shared, planned)
    theirs = write_record(
        shared.code, b"{}", take("plan", planned), kind="plan", output_kind="plan"
    )
    write_record(shared.code, b"form", take("plan", theirs), kind="launch", flyte=RUN, **FORM)
    assert of_plan(shared, planned)[0] == before[0]


def test_a_waiver_that_was_signed_for_students_is_listed(shared, planned):
    said = {"plan": planned[1], "findings": [], "reason": "tried", "at": "now"}
    write_record(shared.consolidation, b"w", take("plan", planned), kind="waiver", **said)
    [launch] = of_plan(shared, planned)[0]
    assert [waiver.reason for waiver in launch.waivers] == ["tried"]


def test_the_report_of_a_student_is_its_own_projects(shared, tmp_path):
    student = write_record(shared.consolidation, b"student", kind="student")
    folders = {}
    for team in ("code-team", "consolidation"):
        folder = folders[team] = tmp_path / team
        folder.mkdir()
        (folder / "report.html").write_text(team)
    tree = shared.code.put_tree(folders["code-team"])
    write_record(shared.code, b"", take("student", student), kind="report", output=tree)
    store = shared.consolidation
    assert report_of(store, student[1], student[0]) is None
    tree = store.put_tree(folders["consolidation"])
    write_record(store, b"", take("student", student), kind="report", output=tree)
    found = report_of(store, student[1], student[0])
    with open(found, encoding="utf-8") as page:  # noqa: PTH123
        assert page.read() == "consolidation"


def test_an_export_tells_the_failures_of_its_own_projects(shared, tmp_path):
    store = shared.consolidation
    made = write_record(store, b"", output=store.put_tree(checkpoint(tmp_path / "model")))
    failed = write_record(store, b"1", take("start", made), kind="failure", output_kind="failure")
    write_record(shared.code, b"2", take("start", made), kind="failure", output_kind="failure")
    family = subject_of(store, made[0]).family
    assert [each.record for each in failed_attempts(store, family)] == [failed[0]]


def test_a_failure_that_others_recorded_of_an_execution_is_not_its_record(shared):
    runner = StepRunner(shared.consolidation, mirror=MemoryMirror())
    said = {"kind": "failure", "output_kind": "failure", "flyte": RUN}
    write_record(shared.code, b"theirs", **said)
    assert of_execution(runner, RUN) == []
    own = write_record(shared.consolidation, b"own", **said)
    assert of_execution(runner, RUN) == [own[0]]


@pytest.mark.parametrize("project", ["consolidation", "elsewhere"])
def test_the_end_of_an_execution_comes_from_its_own_project(shared, planned, project):
    runner = StepRunner(shared.consolidation, mirror=MemoryMirror())
    run = RUN.model_copy(update={"project": project})
    said = {"kind": "failure", "output_kind": "failure", "flyte": run}
    theirs, _ = write_record(shared.code, b"theirs", **said)
    plan = write_record(shared.code, b"{}", kind="plan", output_kind="plan")
    rejected = {"review": {"decision": "rejected", "by": "eve", "way": "command"}}
    no, _ = write_record(
        shared.code,
        b"no",
        take("plan", plan),
        kind="approval",
        flyte=run,
        notes=rejected,
        decision="rejected",
    )
    may = project == "elsewhere"  # nobody in this store speaks for it
    assert {record for record, _ in failures(runner)} == ({theirs} if may else set())
    assert {record for record, _ in rejections(runner)} == ({no} if may else set())


def test_damaged_records_of_others_stop_no_list(shared, planned, tmp_path):
    store, junk = shared.consolidation, []
    student = write_record(store, b"", output=store.put_tree(checkpoint(tmp_path / "model")))
    for kind in ("failure", "report", "approval", "launch"):
        plan = write_record(shared.code, b"{}", kind="plan", output_kind="plan")
        inputs = [take("plan", plan)] if kind in {"approval", "launch"} else []
        inputs += [] if inputs else [take("student", student)]
        record, _ = write_record(shared.code, b"x", *inputs, kind=kind, output_kind=kind)
        key = f"keys/projects/code-team/attestations/{record[7:]}/{2:08d}"
        shared.put_raw("code-team", key, b"junk", replace=False)
        junk.append(record)
    runner = StepRunner(store, mirror=MemoryMirror())
    assert not {record for record, _ in failures(runner)} & set(junk)
    assert not {record for record, _ in rejections(runner)} & set(junk)
    assert failed_attempts(store, subject_of(store, student[0]).family) == []
    assert report_of(store, student[1], student[0]) is None
    assert len(of_plan(shared, planned)[0]) == 1


def test_no_third_team_casts_doubt_on_where_a_teacher_comes_from(shared):
    fork = write_record(shared.foundation, b"fork")
    sft = write_record(shared.math, b"sft", take("start", fork))
    teacher = write_record(shared.math, b"teacher", take("start", sft), kind="rl")
    own = write_record(shared.math, b"own", take("start", fork))
    theirs = write_record(shared.code, b"fork")
    assert theirs[1] == fork[1]  # the fork point, by their own record
    write_record(shared.code, b"near the teacher", take("start", theirs))
    write_record(shared.code, b"nearer", take("start", fork))
    assert other_starts(shared.consolidation, fork[1], teacher[0]) == [own[1]]


@pytest.mark.parametrize("named", ["raw", "a copy of the plan", "a plan made of it"])
def test_a_record_that_claims_a_waiver_names_no_plan(shared, planned, named):
    runner = StepRunner(shared.consolidation, mirror=MemoryMirror())
    waiver = shared.code.put_bytes(b"the waiver, as it lies in the store")
    text = shared.code.get_bytes(planned[1])
    if named == "raw":
        of = Input(role="plan", artifact=planned[1])
    elif named == "a copy of the plan":
        of = take("plan", write_record(shared.code, text, kind="plan", output_kind="plan"))
    else:
        later = {"kind": "plan", "output_kind": "plan"}
        of = take("plan", write_record(shared.code, b"{}", take("plan", planned), **later))
    write_record(shared.code, b"", of, kind="waiver", output=waiver, output_kind="waiver")
    [plan] = [
        item
        for record in Records(runner.store).all()
        for item in Records(runner.store).read(record).inputs
        if item.record == planned[0]
    ][:1]
    stored = runner._artifact("plan", plan.artifact, plan.record)
    assert _plan_of(runner, waiver, stored) == stored
    assert _plan_named(runner, waiver, stored) == stored
