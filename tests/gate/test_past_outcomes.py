"""Which outcomes of a store count: the same recipe, nobody recalled, and never one's own."""

import json

import pytest

from lineage.artifacts import Artifact, Student, TeacherShare, without_places
from lineage.digest import canonical_json
from lineage.graph.graph import Lineage
from lineage.records.record import Derivation, Input
from lineage.registry.registry import Registry
from tasks.contracts.handover import Plan, Remedy, TeacherVerdict, Verdict
from tasks.contracts.planned import JUDGED
from tasks.gate.measured import ProbeResult, ProbeSettings
from tasks.gate.outcome import compare_with_outcome, recipe_of
from tasks.gate.past_outcomes import outcome_lines, outcomes, recipe_with
from tasks.gate.probe_step import MEASURED
from tasks.mopd.round_form import RoundForm
from tasks.platform.step_runner import StepRunner
from tests.support.climbs import CLIMB, teacher
from tests.support.making import take, write_record
from tests.support.measures import measured
from tests.support.mirrors import MemoryMirror
from tests.support.teams import Shared

ROUND = {"loop": {"num_steps": 120}, "ledger": {"displacements": True}}
RECIPE = canonical_json({"loop": {"num_steps": 120}, "rounds": 1}).decode()
CARD = {"math": {"normalized": {"student": {"mean": 0.9}}}}


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def put(runner, kind, files, *inputs):
    """Record a folder of files, or what is the only one of them, made from (role, artifact)."""
    told = tuple(Input(role=role, artifact=a.digest, record=a.record) for role, a in inputs)

    def make(folder, _measurements):
        out = folder / "out"
        out.mkdir()
        for name, text in files.items():
            (out / name).write_text(text)
        return out if len(files) > 1 else out / next(iter(files))

    derivation = Derivation(kind=kind, inputs=told, source="test", settings=files, seed=0)
    return runner.find_or_make(derivation, kind, make, owner="consolidation")


class Merge:
    """One consolidation, as far as its outcome depends on it."""

    def __init__(self, runner, name, *, steps=120, card=CARD, page="", **judged):
        self.runner = runner
        self.release = put(runner, "release", {"release.json": f"release {name}"})
        planned = put(runner, "plan", {"plan.json": name}, ("release", self.release))
        math = teacher(CLIMB).model_copy(update={"release": self.release})
        start = Artifact(kind="checkpoint", digest=CLIMB[0].checkpoint.digest)
        self.plan = Plan(artifact=planned, fork_point=start, student=start, teachers=[math])
        verdict = TeacherVerdict(
            name="math",
            domain="math",
            **{"verdict": Verdict.FITS} | judged,
        )
        probe = ProbeResult(settings=ProbeSettings(), teachers=(measured(),), seconds=1.0)
        files = {
            MEASURED: probe.model_dump_json(),
            JUDGED: json.dumps({"teachers": [verdict.model_dump(mode="json")]}),
            "gate.html": page,
        }
        gate = put(runner, "gate", files, ("plan", planned))
        self.scorecard = put(runner, "scorecard", {"card.json": json.dumps({**card, "of": name})})
        self.student = self._published(gate, steps)
        self.outcome = compare_with_outcome(runner, self.student)

    def _published(self, gate, steps):
        document = without_places(self.plan.model_dump(mode="json", exclude={"artifact"}))
        after = put(
            self.runner,
            "plan",
            {"plan.json": json.dumps(document)},
            ("plan", self.plan.artifact),
        )
        settings = ROUND | {"loop": {"num_steps": steps}}
        record, digest = write_record(self.runner.store, b"student", kind="mopd", **settings)
        share = TeacherShare(
            domain="math", release=self.release.digest, reference="teacher.math@1", weight=1.0
        )
        manifest = Student(
            checkpoint=Artifact(kind="checkpoint", digest=digest, record=record),
            fork_point=self.plan.fork_point,
            teachers=(share,),
            settings={},
            scorecard=self.scorecard,
            controls={},
            plan=after.digest,
            owner="consolidation",
        )
        parts = [("plan", after), ("gate", gate), ("scorecard", self.scorecard)]
        return put(self.runner, "student", {"student.json": manifest.model_dump_json()}, *parts)


@pytest.fixture
def asking(runner):
    """The plan that asks, which was merged before itself."""
    return Merge(runner, "own").plan


def test_what_came_under_the_same_settings_counts_and_ones_own_does_not(runner, asking):
    merge = Merge(runner, "other")
    Merge(runner, "shorter", steps=60)
    [found] = outcomes(runner, asking, RECIPE)
    assert (found.teacher, found.actual) == ("teacher.math@1", 0.9)
    assert found.record == merge.outcome.record
    assert (found.verdict, found.done) == (Verdict.FITS, Remedy.NONE)


def test_the_recipe_of_a_student_is_that_of_the_form_that_launched_its_rounds(runner):
    """A launch of carry_out by itself, with other settings than the gate's, says so."""
    form = RoundForm(mopd_steps=7, rounds=2)
    settings = form.settings().model_dump(mode="json")
    first = write_record(runner.store, b"first", kind="mopd", **settings)
    second = write_record(runner.store, b"2nd", take("student", first), kind="mopd", **settings)
    student = Artifact(kind="checkpoint", digest=second[1], record=second[0])
    assert recipe_of(runner, student) == form.recipe()
    other = settings | {"prompts_per_domain": 1}
    mixed = write_record(runner.store, b"3rd", take("student", second), kind="mopd", **other)
    assert recipe_of(runner, Artifact(kind="checkpoint", digest=mixed[1], record=mixed[0])) == ""


def test_the_gate_by_itself_asks_for_what_a_consolidation_with_its_inputs_would_leave():
    form = RoundForm(ladder_stages=3, max_new_tokens=99)
    assert recipe_with(RoundForm().recipe(), 3, 99) == form.recipe()
    for other in (RoundForm(mopd_steps=60), RoundForm(rounds=2), RoundForm(divergence="forward")):
        assert other.recipe() != RoundForm().recipe()
    # Where teachers wait and what a ledger keeps changes nothing that arrives.
    same = RoundForm(ledger_displacements=False, more_settings={"placement": "host"})
    assert same.recipe() == RoundForm().recipe()


def test_a_recall_of_what_others_made_of_a_scorecard_hides_no_outcome(tmp_path):
    shared = Shared(tmp_path / "shared")
    runner = StepRunner(shared.consolidation, mirror=MemoryMirror())
    asking, merge = Merge(runner, "own").plan, Merge(runner, "other")
    card = (merge.scorecard.record, merge.scorecard.digest)
    theirs = write_record(shared.code, b"theirs", take("scorecard", card))
    artifact = Artifact(kind="release", digest=theirs[1], record=theirs[0])
    Registry(shared.code).register("teacher.code", artifact, owner="code")
    Registry(shared.code).recall("teacher.code", 1, by="code", reason="spite")
    assert [each.record for each in outcomes(runner, asking, RECIPE)] == [merge.outcome.record]


def test_an_outcome_of_a_recalled_student_or_teacher_is_ignored(runner, asking):
    registry = Registry(runner.store)
    of_student, of_teacher = Merge(runner, "one"), Merge(runner, "two")
    registry.register("student.general", of_student.student, owner="consolidation")
    registry.register("teacher.math", of_teacher.release, owner="team-math")
    assert len(outcomes(runner, asking, RECIPE)) == 2
    registry.recall("student.general", 1, by="ann", reason="wrong prompts")
    assert [each.record for each in outcomes(runner, asking, RECIPE)] == [of_teacher.outcome.record]
    registry.recall("teacher.math", 1, by="ann", reason="leak")
    assert outcomes(runner, asking, RECIPE) == []


def test_an_outcome_behind_a_remedy_says_so(runner, asking):
    Merge(runner, "other", verdict=Verdict.FITS_AFTER_REMEDY, done=Remedy.WARM_UP)
    [found] = outcomes(runner, asking, RECIPE)
    assert (found.verdict, found.done) == (Verdict.FITS_AFTER_REMEDY, Remedy.WARM_UP)


def test_a_teacher_without_a_result_is_left_out(runner, asking):
    Merge(runner, "other", card={"math": {"normalized": {"student": {"mean": None}}}})
    assert outcomes(runner, asking, RECIPE) == []


def test_the_line_of_an_outcome(runner, asking):
    Merge(runner, "other", verdict=Verdict.FITS_AFTER_REMEDY, done=Remedy.WARM_UP)
    [line] = outcome_lines(outcomes(runner, asking, RECIPE))
    expected = "teacher.math@1: fits after remedy, remedy warm-up; the student has 0.90 of its gain"
    assert line == expected


def test_one_merge_compared_twice_counts_once(runner, asking):
    Merge(runner, "other")
    Merge(runner, "other", page="gated again")
    assert len(Lineage(runner.store).index.of_kind("gate_outcome")) == 3
    assert len(outcomes(runner, asking, RECIPE)) == 1
