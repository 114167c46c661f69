"""The selections as steps: what they record, what they measure, and what they refuse to take."""

import pytest

from tasks.rejection_sampling.annotator import AnnotatorSettings
from tasks.rejection_sampling.demonstrations import DemonstrationRule
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.pairs import PairRule
from tasks.rejection_sampling.settings import VerdictSettings
from tasks.rejection_sampling.steps import (
    annotate,
    select_demonstrations,
    select_pairs,
    select_prompts,
    write_verdicts,
)
from tasks.rollout.domains import stored_comparisons, stored_demonstrations, stored_prompts
from tasks.scoring.settings import JudgeSettings
from tests.support.refused import refused
from tests.support.sampled import Bench, response

FIRST = [response("1", "a", grade=0.0), response("2", "a", grade=1.0)]
SECOND = [response("3", "a", grade=0.5), response("4", "b", grade=1.0)]
VERDICTS = VerdictSettings(judging=JudgeSettings(rubric="correct"), noise=0.0)
STEPS = {
    "selection": lambda runner, given: select_demonstrations(runner, given, DemonstrationRule(), 3),
    "pairs": lambda runner, given: select_pairs(runner, given, PairRule(), 3),
    "difficulty": lambda runner, given: select_prompts(runner, given, PromptRule()),
    "annotation": lambda runner, given: annotate(runner, given, AnnotatorSettings(), 3),
    "verdicts": lambda runner, given: write_verdicts(runner, given, VERDICTS, 3),
}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("kind", STEPS)
def test_a_selection_is_recorded_from_the_responses_that_were_given(bench, kind):
    rounds = [bench.responses(*FIRST, name="1"), bench.responses(*SECOND, name="2")]
    made = STEPS[kind](bench.runner, rounds)
    assert bench.runner.records.read(made.record).kind == kind
    assert bench.inputs(made) == {
        ("responses", "0"): rounds[0].digest,
        ("responses", "1"): rounds[1].digest,
    }
    assert STEPS[kind](bench.runner, rounds) == made
    assert STEPS[kind](bench.runner, rounds[:1]).record != made.record
    assert bench.metrics(made)[0, "selected"] >= 1


@pytest.mark.parametrize("kind", STEPS)
def test_a_selection_takes_nothing_but_responses(bench, kind):
    for wrong in (bench.checkpoint().artifact, bench.prompts("1+1")):
        with refused("other-kind", wrong.kind):
            STEPS[kind](bench.runner, [wrong])
    with refused("no-responses"):
        STEPS[kind](bench.runner, [])


def test_what_is_selected_can_be_read_as_data(bench):
    rounds = [bench.responses(*FIRST, name="1"), bench.responses(*SECOND, name="2")]
    rows = stored_demonstrations(
        bench.runner.store, select_demonstrations(bench.runner, rounds, DemonstrationRule(), 0)
    )
    assert [row.turns[0].content for row in rows] == ["2", "4"]
    [pair] = stored_comparisons(
        bench.runner.store, select_pairs(bench.runner, rounds, PairRule(), 0)
    )
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("2", "1")
    made = select_prompts(bench.runner, rounds, PromptRule())
    assert [prompt.id for prompt in stored_prompts(bench.runner.store, made)] == ["a"]
    measured = bench.metrics(made)
    assert measured[0, "always_solved"] == 1
    assert measured[0, "pass_rate"] == pytest.approx((1 / 3 + 1) / 2)


def test_verdicts_can_be_read_as_data(bench):
    rounds = [bench.responses(*FIRST, name="1"), bench.responses(*SECOND, name="2")]
    rows = stored_demonstrations(
        bench.runner.store, write_verdicts(bench.runner, rounds, VERDICTS, 0)
    )
    said = [row.turns[0].content for row in rows]
    assert said == ["Score: 1", "Score: 5", "Score: 3", "Score: 5"]  # 1 to 5 of 0, 1, 0.5 and 1
