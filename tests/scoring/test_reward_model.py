"""A reward model scores a response as its training saw it, whatever else is in the batch."""

import pytest
import torch

from lineage.artifacts import Artifact
from lineage.store.store import FolderStore
from tasks.model.chat import ChatTokens
from tasks.model.files import save_policy
from tasks.model.scalar_head import load_scalar_model, with_scalar_head
from tasks.rollout.environment import Message, Prompt, Turn
from tasks.rollout.responses import ScoredResponse
from tasks.scoring.reward_model import (
    RewardModel,
    RewardModelScorer,
    episode_tokens,
    load_reward_model,
    padded,
)
from tests.support import zoo
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy, tokenizer

CHAT = ChatTokens(tokenizer())


def response(answer, question="12+34", **changed):
    return ScoredResponse(
        domain="helpful",
        prompt=Prompt("a", (Message("user", question),), {}),
        turns=(Turn("assistant", answer),),
        sampler="policy",
        scores={"grade": 1.0},
        num_tokens=len(answer) + 1,
        **changed,
    )


ASKED = [response(text) for text in ("46", "12", "46 46 46 46", "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reward model that nothing has trained, saved; its scores are shifted by a quarter."""
    root = tmp_path_factory.mktemp("reward model")
    policy = save_policy(tiny_policy(0), root / "policy")
    made = RewardModel(with_scalar_head(policy, 0, CHAT.pad_id), tokenizer())
    made.shift(0.25)
    return made.save(root / "saved")


def alone(folder, asked):
    """Return what the model says of the one episode, plus the shift."""
    model = load_scalar_model(folder)
    ids = episode_tokens(CHAT, asked.prompt.messages, asked.turns, asked.prompt.mode).ids
    with torch.no_grad():
        return model(torch.tensor([ids])).logits.item() + 0.25


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_a_score_is_the_head_behind_the_last_token_in_any_batch(folder, batch_size):
    scorer = RewardModelScorer(load_reward_model(folder), batch_size)
    expected = [alone(folder, asked) for asked in ASKED]
    assert scorer.score(ASKED) == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == len(expected)
    assert scorer.score([]) == []


def test_it_sees_tool_answers_and_all_turns(folder):
    scorer = RewardModelScorer(load_reward_model(folder))
    called = (Turn("assistant", "?"), Turn("tool", "7"), Turn("assistant", "7"))
    other = (Turn("assistant", "?"), Turn("tool", "8"), Turn("assistant", "7"))
    long, different = (
        ScoredResponse("h", ASKED[0].prompt, turns, "policy", {"grade": 1}, 3)
        for turns in (called, other)
    )
    first, second = scorer.score([long, different])
    assert first == pytest.approx(alone(folder, long), abs=1e-5)
    assert first != second


def test_a_folder_read_back_has_the_same_weights_and_the_same_zero(folder):
    read = load_reward_model(folder)
    assert read.bias == 0.25
    assert read.tokenizer.chat_template == tokenizer().chat_template
    policy = tiny_policy(0).model.state_dict()
    for name, weight in read.model.state_dict().items():
        if name != "score.weight":
            assert torch.equal(weight, policy[name]), name


def test_only_a_reward_model_of_the_store_scores(folder, tmp_path):
    store = FolderStore(tmp_path / "store")
    digest = store.put_tree(folder)
    scorer = RewardModelScorer.stored(store, Artifact(kind="reward_model", digest=digest))
    assert scorer.score(ASKED[:1]) == pytest.approx([alone(folder, ASKED[0])], abs=1e-5)
    with refused("other-kind"):
        RewardModelScorer.stored(store, Artifact(kind="checkpoint", digest=digest))


def test_a_policy_cannot_score(tmp_path):
    with refused("missing-weights"):
        load_scalar_model(save_policy(tiny_policy(0), tmp_path))


def test_a_response_longer_than_the_positions_is_refused(folder):
    scorer = RewardModelScorer(load_reward_model(folder))
    with refused("response-too-long", "96"):
        scorer.score([response("1" * 96)])


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in zoo.MUST_RUN if name != "nemotron-h"])
def test_each_family_scores_the_same_alone_and_in_a_batch(tmp_path, family):
    zoo.tiny(family).save_pretrained(tmp_path / "policy")
    with_scalar_head(tmp_path / "policy", 0, 0).save_pretrained(tmp_path / "reward model")
    model = load_scalar_model(tmp_path / "reward model")
    rows = [[5, 6, 7, 8, 9], [5, 6], [9, 8, 7, 6, 5, 4, 3]]
    with torch.no_grad():
        alone = [model(torch.tensor([row])).logits.item() for row in rows]
        together = model(**padded(rows, 0)).logits[:, 0].tolist()
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_family_without_a_scalar_head_is_refused_by_name(tmp_path):
    zoo.tiny("nemotron-h").save_pretrained(tmp_path)
    with refused("no-reward-head", "NemotronHConfig"):
        with_scalar_head(tmp_path, 0, 0)
