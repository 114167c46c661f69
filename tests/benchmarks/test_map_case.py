"""One tiny case of the map from end to end, and again from its records."""

import pytest

from benchmarks.map.__main__ import without_outcome
from benchmarks.map.case import Sizes, run_case
from benchmarks.map.domains import Counts
from benchmarks.map.points import CENTER, COMPARED, LADDER, Conflict, Point
from tasks.contracts.scale import Scale

TINY = Sizes(
    counts=Counts(train=24, validation=4, evaluation=8, demonstrations=12),
    learning_rate=1e-3,
    sft_learning_rate=1e-2,
    blend_count=6,
    foundation_steps=20,  # a student that says anything at all is refused
    team_steps=2,
    prompts_per_step=1,
    merge_steps=3,
    merge_rollouts=16,
)
POINT = Point(length=3, gap=4, conflict=Conflict.STEPS, error=20, teachers=2, longer=True)


@pytest.mark.slow
def test_a_case_scores_every_method_on_the_same_prompts_and_says_what_each_took(tracked_home):
    made = run_case(CENTER, POINT, 0, TINY, Scale.MICRO)
    rows, costs = made["rows"], made["costs"]
    assert set(rows) == {"fork_point", "teacher", *COMPARED, LADDER}
    asked = {
        method: {name: [row["prompt"] for row in found] for name, found in domains.items()}
        for method, domains in rows.items()
    }
    assert len({str(each) for each in asked.values()}) == 1
    assert {name: len(ids) for name, ids in asked["teacher"].items()} == {"add": 4, "add_marked": 4}
    assert set(costs) == {*COMPARED, LADDER}
    assert all(cost["processor_seconds"] > 0 for cost in costs.values())
    assert costs[LADDER]["tokens_sampled"] > 0
    # A stage, and for each of twelve domains its grader and its demonstrations; for each of two
    # teachers grader, prompts, demonstrations, stage and climb.
    steps = {what: cost["steps"] for what, cost in made["before"].items()}
    assert steps == {"fork_point": 1 + 2 * 12, "teachers": 5 * 2}

    shown = without_outcome({**made, "call_seconds": 1.0})
    assert set(shown["teachers"]["add"]) == {"fork_point", "teacher"}
    assert "student" not in str(shown["teachers"])

    # All of it is found again: the same outcomes, and the costs that the records attest.
    again = run_case(CENTER, POINT, 0, TINY, Scale.MICRO)
    assert again == made


@pytest.mark.slow
def test_a_fork_point_is_found_again_behind_a_later_one(tracked_home):
    points = [
        POINT,
        POINT.model_copy(update={"conflict": Conflict.ANSWER}),  # a fork point of its own
        POINT.model_copy(update={"gap": 2}),  # that of the first
    ]
    made = [run_case(f"point-{n}", point, 0, TINY, Scale.MICRO) for n, point in enumerate(points)]
    starts = [case["rows"]["fork_point"]["add"] for case in made]
    assert starts[2] == starts[0]
