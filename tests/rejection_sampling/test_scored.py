"""Scores by judges, added to responses, and comparisons by a judge: as recorded steps."""

import json

import pytest

from tasks.contracts.named import NamedArtifact
from tasks.model.chat import ChatTokens
from tasks.model.files import save_policy
from tasks.model.scalar_head import with_scalar_head
from tasks.rejection_sampling import parts
from tasks.rejection_sampling.judged import compare_responses, drawn_pairs
from tasks.rejection_sampling.scored import score_responses
from tasks.rejection_sampling.settings import ComparisonSettings
from tasks.rollout.domains import stored_comparisons, stored_responses
from tasks.rollout.responses import Strength
from tasks.scoring.reward_model import REWARD_MODEL, RewardModel, RewardModelScorer
from tasks.scoring.settings import NamedJudge
from tests.support.judges import SETTINGS, taught_judge
from tests.support.refused import refused
from tests.support.sampled import Bench, response
from tests.support.tiny_models import tiny_policy, tokenizer

ROWS = [
    response("fox", "a", grade=0.0),
    response("owl", "a", grade=0.5),
    response("12", "a", grade=1.0),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_policy(taught_judge(), tmp_path_factory.mktemp("judge") / "model")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def judge(bench, folder):
    artifact = bench.recorded("checkpoint", bench.runner.store.put_tree(folder), "sft")
    return NamedJudge(name="taught", artifact=artifact, settings=SETTINGS)


def test_scores_and_words_are_added_and_the_rest_stays(bench, judge, monkeypatch):
    monkeypatch.setattr(parts, "PART_RESPONSES", 2)
    given = bench.responses(*ROWS)
    strict = SETTINGS.model_copy(update={"unparsable_score": -1.0})
    second = judge.model_copy(update={"name": "strict", "settings": strict})
    made = score_responses(bench.runner, given, [], [judge, second], seed=0)
    rows = stored_responses(bench.runner.store, made)
    assert [row.scores for row in rows] == [
        {"grade": 0.0, "taught": 5.0, "strict": 5.0},
        {"grade": 0.5, "taught": 2.0, "strict": 2.0},
        {"grade": 1.0, "taught": 1.0, "strict": -1.0},
    ]
    assert rows[0].notes == {"taught": "ok\nScore: 5", "strict": "ok\nScore: 5"}
    assert [(row.turns, row.prompt) for row in rows] == [(row.turns, row.prompt) for row in ROWS]
    assert bench.inputs(made) == {
        ("responses", ""): given.digest,
        ("judge", "taught"): judge.artifact.digest,
        ("judge", "strict"): judge.artifact.digest,
    }
    measured = bench.metrics(made)
    assert [measured[step, "unparsable/taught"] for step in (1, 2)] == [0.0, 1.0]
    assert measured[3, "score/strict"] == 3.5
    total = sum(value for (_, name), value in measured.items() if name == "tokens_sampled")
    assert bench.notes(made)["tokens_sampled"] == total > 0


def test_a_reward_model_scores_beside_a_judge(bench, judge, tmp_path):
    policy = save_policy(tiny_policy(0), tmp_path / "policy")
    chat = ChatTokens(tokenizer())
    model = RewardModel(with_scalar_head(policy, 0, chat.pad_id), tokenizer())
    folder = model.save(tmp_path / "reward-model")
    stored = bench.recorded(REWARD_MODEL, bench.runner.store.put_tree(folder), REWARD_MODEL)
    given, named = bench.responses(*ROWS), NamedArtifact(name="helpful", artifact=stored)
    made = score_responses(bench.runner, given, [named], [judge], seed=0)
    rows = stored_responses(bench.runner.store, made)
    expected = RewardModelScorer(model).score(ROWS)
    assert [row.scores["helpful"] for row in rows] == pytest.approx(expected)
    assert len(set(expected)) == 3
    assert [row.scores["taught"] for row in rows] == [5.0, 2.0, 1.0]
    assert [row.notes.keys() for row in rows] == [{"taught"}] * 3
    assert bench.inputs(made)["reward_model", "helpful"] == stored.digest


def test_what_cannot_score_is_refused(bench, judge):
    given, model = bench.responses(*ROWS), bench.checkpoint("rm", kind="reward_model")
    false = judge.model_copy(update={"artifact": model.artifact})
    for code, responses, models, judges in (
        ("other-kind", given, [bench.checkpoint()], []),  # a policy as a reward model
        ("other-kind", given, [], [false]),  # a reward model as a judge
        ("other-kind", judge.artifact, [], [judge]),
        ("no-scorer", given, [], []),
        ("repeated-name", given, [], [judge, judge]),
        ("scored-before", given, [], [judge.model_copy(update={"name": "grade"})]),
    ):
        with refused(code):
            score_responses(bench.runner, responses, models, judges, 0)


def test_a_judge_compares_in_both_orders_and_its_words_are_kept(bench, judge):
    given = bench.responses(*ROWS)
    settings = ComparisonSettings(pairs_per_prompt=3)
    made = compare_responses(bench.runner, [given], judge, settings, seed=0)
    pairs = stored_comparisons(bench.runner.store, made)
    said = {(p.chosen[0].content, p.rejected[0].content): p.strength for p in pairs}
    # fox against 12 is a tie, because the place decides.
    assert said == {("fox", "owl"): Strength.SIGNIFICANTLY, ("owl", "12"): Strength.BETTER}
    assert {pair.source for pair in pairs} == {"taught"}
    measured = bench.metrics(made)
    assert (measured[0, "ties"], measured[0, "unparsable"], measured[0, "selected"]) == (1, 1, 2)
    notes = bench.notes(made)
    words = bench.runner.store.get_bytes(notes["verdicts"]).decode().splitlines()
    assert sorted(len(json.loads(line)) for line in words) == [2, 2, 2]
    assert notes["tokens_sampled"] > 0
    assert bench.inputs(made) == {
        ("responses", "0"): given.digest,
        ("judge", "taught"): judge.artifact.digest,
    }


def test_comparisons_without_a_preference_are_refused(bench, judge):
    place = bench.responses(ROWS[0], ROWS[2])
    with refused("nothing-left", "ties: 1"):
        compare_responses(bench.runner, [place], judge, ComparisonSettings(), 0)
    for code, given in (("no-responses", []), ("other-kind", [judge.artifact])):
        with refused(code):
            compare_responses(bench.runner, given, judge, ComparisonSettings(), 0)


def test_pairs_are_drawn_from_each_prompt():
    pool = [*ROWS, response("x", "b"), response("y", "b"), response("z", "c")]
    assert len(drawn_pairs(pool, 1, 0)) == 2
    assert len(drawn_pairs(pool, 9, 0)) == 3 + 1
    assert all(one.prompt == other.prompt for one, other in drawn_pairs(pool, 9, 0))
    with refused("too-few-responses"):
        drawn_pairs(pool[-1:], 1, 0)
