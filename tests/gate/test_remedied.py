"""The verdict after a remedy: measured on validation prompts, recorded, and held to its plan."""

import json
import tempfile
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.graph.graph import Lineage
from lineage.launches.launch import LaunchRemedy, LaunchVerdict
from lineage.launches.verdicts import remedies_of, start_of_rounds
from lineage.operations.verify import Verifier
from lineage.records.record import Input
from tasks.contracts.handover import Remedy, Verdict
from tasks.contracts.refusal import RefusedError
from tasks.gate.remedied import measure_remedies, outcome_of, refuse_failed
from tasks.platform.measurements import Measurements
from tasks.platform.step_runner import StepRunner, now
from tasks.rollout.settings import SamplingSettings
from tests.support.consolidations import Consolidated
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.runs import Climbed, Maker
from tests.support.tiny_faculty import home_at

SAMPLING = SamplingSettings(max_new_tokens=4)


class Answering(StepRunner):
    """Answers validation prompts by a table of scores, instead of sampling."""

    def __init__(self, **options):
        super().__init__(**options)
        self.scores = {}

    def find_or_make(self, derivation, kind, make, owner="", notes=None):
        if derivation.kind != "validation":
            return super().find_or_make(derivation, kind, make, owner, notes)
        [checkpoint] = [i.artifact for i in derivation.inputs if i.role == "checkpoint"]
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "scores.json")
            output.write_text(json.dumps(self.scores[checkpoint]))
            return self.commit(derivation, kind, output, now(), Measurements(kind), owner)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Return a home, its maker, and two consolidations of the same teachers, by their seeds."""
    folder = tmp_path_factory.mktemp("runs") / "home"
    with home_at(folder):
        make = Maker(Answering(mirror=MemoryMirror()))
        start = make.checkpoint(0)
        climbs = [Climbed(make, start, name, seed) for seed, name in enumerate(("math", "code"), 1)]
        return folder, make, (Consolidated(make, climbs, 100), Consolidated(make, climbs, 200))


@pytest.fixture
def make(home, made_once, kept_homes):
    """Put what was made into this test's home; return the maker, which goes on there."""
    folder, make, _ = made_once
    with kept_homes.lent(folder, home):
        make.runner = Answering(mirror=MemoryMirror())
        yield make


@pytest.fixture
def runner(make):
    return make.runner


@pytest.fixture
def runs(make, made_once):
    return made_once[2]


def warmed(make, run, *, seed=900, scores=(0.0, 0.8, 1.0)):
    """Return the gated plan with a warm-up for math, and the plan after it, with these scores."""
    verdicts = [
        each.model_copy(update={"verdict": Verdict.UNKNOWN, "done": Remedy.WARM_UP})
        if each.name == "math"
        else each
        for each in run.gated.teachers
    ]
    gated = run.gated.model_copy(update={"teachers": verdicts})
    math = run.teachers[0]
    inputs = [("start", run.plan.student), ("teacher", math.checkpoint, "math")]
    student = make.checkpoint(seed, "warm_up", "consolidation", inputs)
    start, after, teacher = (
        [1.0] * round(10 * each) + [0.0] * round(10 - 10 * each) for each in scores
    )
    make.runner.scores |= {
        run.plan.student.digest: start,
        student.digest: after,
        math.checkpoint.digest: teacher,
    }
    return gated, run.plan.model_copy(update={"student": student})


def test_the_share_of_the_gain_is_measured_on_the_same_prompts(runs):
    teacher = runs[0].teachers[0]
    found = outcome_of(teacher, [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0], [1.0] * 4)
    assert (found.start, found.student, found.teacher, found.prompts) == (0.25, 0.75, 1.0, 4)
    assert found.share == pytest.approx(2 / 3)  # 0.5 of 0.75
    assert found.low < found.share < found.high
    assert found.verdict is Verdict.FITS_AFTER_REMEDY


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ((0.0, 0.5, 1.0), Verdict.FITS_AFTER_REMEDY),
        ((0.0, 0.4, 1.0), Verdict.DOES_NOT_FIT),
        ((0.2, 0.6, 0.8), Verdict.FITS_AFTER_REMEDY),
        ((0.4, 0.5, 0.8), Verdict.DOES_NOT_FIT),
    ],
)
def test_half_of_the_gain_decides(runner, make, runs, scores, verdict):
    gated, plan = warmed(make, runs[0], scores=scores)
    [found] = measure_remedies(runner, gated, plan, SAMPLING, 0)
    assert (found.name, found.verdict) == ("math", verdict)
    if verdict is Verdict.DOES_NOT_FIT:
        with pytest.raises(RefusedError, match=r"teacher\.math@1") as refused:
            refuse_failed(gated, [found])
        assert refused.value.code == "remedy-failed"
    else:
        refuse_failed(gated, [found])


def test_a_share_needs_a_gain(runs):
    found = outcome_of(runs[0].teachers[0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0])
    assert (found.share, found.low, found.high) == (None, None, None)


def test_without_a_remedy_nothing_is_measured(runner, runs):
    before = runner.records.all()
    assert measure_remedies(runner, runs[0].gated, runs[0].plan, SAMPLING, 0) == []
    assert runner.records.all() == before


def test_a_plan_of_another_run_is_refused(runner, make, runs):
    one, other = runs
    gated, plan = warmed(make, one)
    stranger = make.checkpoint(901, "warm_up", inputs=[("start", other.student)])
    before = set(runner.records.all())
    for mixed in (
        plan.model_copy(update={"student": stranger}),
        plan.model_copy(update={"teachers": plan.teachers[:1]}),
    ):
        with pytest.raises(LineageError, match="differs"):
            measure_remedies(runner, gated, mixed, SAMPLING, 0)
    assert set(runner.records.all()) == before


def test_a_measurement_holds_for_the_students_that_began_with_the_measured_start(
    runner, make, runs
):
    """Two launches of one plan may warm up differently."""
    run = runs[0]
    good, bad = (
        warmed(make, run, seed=seed, scores=scores)
        for seed, scores in ((900, (0.0, 0.8, 1.0)), (910, (0.0, 0.2, 1.0)))
    )
    for gated, plan in (good, bad):
        measure_remedies(runner, gated, plan, SAMPLING, 0)
    index = Lineage(runner.store).index
    for (_, plan), share in ((good, 0.8), (bad, 0.2)):
        student = make.checkpoint(920, "mopd", "", [("student", plan.student)], of=share)
        again = make.checkpoint(921, "mopd", "", [("student", student)], of=share)
        assert start_of_rounds(runner.records, again) == plan.student.digest
        arguments = (runner.records, index, run.plan.artifact.digest, again)
        [found] = remedies_of(*arguments, runner.project)
        assert found.share == pytest.approx(share)
        assert remedies_of(*arguments, "another") == []


def broken(runner, record):
    found = Verifier(runner.store, None).verify(record)
    return {problem.what.partition("]")[0].removeprefix("[") for problem in found.problems}


def test_a_measurement_of_other_checkpoints_breaks_its_rule(runner, make, runs):
    gated, plan = warmed(make, runs[0])
    measure_remedies(runner, gated, plan, SAMPLING, 0)
    [record] = Lineage(runner.store).index.of_kind("remedy")
    assert broken(runner, record) == set()
    made = runner.records.read(record)
    inputs = {(item.role, item.name): (item.record, item.artifact) for item in made.inputs}
    swapped = inputs | {("score.student", "math"): inputs["score.teacher", "math"]}
    strange = {
        (role, "poetry" if role.startswith("score.") else name): item
        for (role, name), item in inputs.items()
    }
    for number, given in enumerate((swapped, strange)):
        inputs = [
            Input(role=role, name=name, record=item[0], artifact=item[1])
            for (role, name), item in given.items()
        ]
        false, _ = write_record(runner.store, b"", *inputs, kind="remedy", number=number)
        assert broken(runner, false) == {"merge"}


def test_the_words_of_a_verdict_name_their_basis():
    after = LaunchRemedy(
        name="roman", done="warm-up", start=0.0, student=0.8, teacher=0.8, share=1.0,
        verdict="fits after remedy",
    )  # fmt: skip
    unknown = LaunchVerdict(name="roman", verdict="unknown", predicted=0.78, proposed="warm-up")
    waiting = unknown.model_copy(update={"done": "warm-up"})
    measured = waiting.model_copy(update={"remedied": after})
    failed = after.model_copy(update={"verdict": "does not fit", "share": 0.1})
    rows = {
        LaunchVerdict(name="math", verdict="fits", predicted=0.9): ("predicted", True),
        unknown: ("not to be tested before the warm-up", False),
        waiting: ("not measured after the warm-up", False),
        measured: ("measured after the warm-up", True),
        waiting.model_copy(update={"remedied": failed}): ("measured after the warm-up", False),
        LaunchVerdict(name="math", verdict="fits after remedy", predicted=0.6): (
            "predicted",
            False,
        ),
        LaunchVerdict(name="math", verdict="does not fit", done="drop"): ("left out", False),
    }
    for verdict, (basis, fits) in rows.items():
        assert basis in verdict.words()
        assert verdict.fits == fits
        assert ("predicted" in verdict.words()) == (basis == "predicted")
