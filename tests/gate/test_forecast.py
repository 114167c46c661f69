"""What a plan is estimated to take, reckoned by hand."""

import pytest

from tasks.gate.forecast import _probing
from tasks.gate.measured import ProbeSettings
from tasks.model.relation import Ancestry
from tests.gate.test_plan_page import plan_of


def two_teachers():
    """Return a plan of a math and a code teacher, without ladders."""
    plan = plan_of()
    [math] = plan.teachers
    code = math.model_copy(update={"name": "code", "domain": "code"})
    return plan.model_copy(update={"teachers": [math, code]})


def test_a_probe_counts_what_is_sampled_and_what_each_model_reads():
    found = _probing(
        two_teachers(),
        ProbeSettings(prompts_per_domain=8),
        {"math": 10.0, "code": 20.0},
        100,
        {"math": 200, "code": 300},
    )
    # Rollouts of 8 x 10 and 8 x 20 tokens. The student (2 x 100 a token) samples 240 and reads
    # those of each teacher's domain, 80 and 160: 48,000 + 16,000 + 32,000. A teacher samples its
    # own and reads them, and reads everyone's: 2 x 200 (2 x 80 + 240) + 2 x 300 (2 x 160 + 240).
    assert found.operations == 48_000 + 48_000 + 160_000 + 336_000
    assert (found.num_teachers, found.num_rungs) == (2, 0)


def test_a_teacher_that_is_the_student_itself_is_not_measured():
    plan = two_teachers()
    itself = plan.teachers[1].model_copy(update={"is_self": True})
    plan = plan.model_copy(update={"teachers": [plan.teachers[0], itself]})
    lengths, sizes = {"math": 10.0, "code": 20.0}, {"math": 200, "code": 300}
    found = _probing(plan, ProbeSettings(prompts_per_domain=8), lengths, 100, sizes)
    assert found.num_teachers == 1
    # 2 x 100 (80 + 80) and 2 x 200 (2 x 80 + 80).
    assert found.operations == 32_000 + 96_000


@pytest.mark.parametrize(
    ("projection", "nearest", "parts"),
    [
        (None, "fork-point@1", {"50.0%"}),
        (0.25, "fork-point@1", {"50.0%", "25%"}),
        (None, "other@2", {"50.0%", "other@2"}),
        (0.25, "other@2", {"50.0%", "25%", "other@2"}),
    ],
)
def test_the_words_of_an_ancestry_hold_what_was_measured(projection, nearest, parts):
    words = Ancestry(
        declared="fork-point@1",
        distance=0.5,
        projection=projection,
        nearest=nearest,
        nearest_distance=0.1,
        contradicted=False,
    ).summary
    assert {part for part in ("50.0%", "25%", "other@2") if part in words} == parts
