"""The card of a recipe: scores, forgetting, drift and cost, by hand."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from lineage.artifacts import Artifact
from lineage.records.record import Records
from tasks.contracts.named import NamedArtifact
from tasks.evaluate.drift import drift_of
from tasks.evaluate.measure import DomainMeasurement
from tasks.evaluate.recipe_card import (
    DomainScore,
    ModeScore,
    RecipeModels,
    StageCost,
    cost_of_records,
    domain_score,
    forgetting,
    score_recipe,
)
from tasks.evaluate.recipe_rewards import RewardScore, reward_scores
from tasks.evaluate.scores import PromptOutcome
from tasks.evaluate.settings import EvaluationSettings, RecipeLabel
from tasks.evaluate.text_loss import ROW_TOKENS, text_loss
from tasks.model.chat import ChatTokens
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tasks.rollout.responses import ScoredResponse
from tests.support.making import take, write_record
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

LABEL = RecipeLabel(system="instruct_gpt", scale="micro", seed=0)


def scored(**means):
    return {
        domain: DomainScore(mean=mean, low=0.0, high=1.0, prompts=4, tokens=9.0, truncated=0.0)
        for domain, mean in means.items()
    }


def test_a_score_has_its_interval_its_length_and_its_truncation():
    outcomes = tuple(
        PromptOutcome(prompt=f"p{n}", scores=(score,), lengths=(length,), truncated=(cut,))
        for n, (score, length, cut) in enumerate(
            [(1.0, 10, False), (0.0, 20, True), (1.0, 30, False), (1.0, 40, False)]
        )
    )
    found = domain_score(DomainMeasurement(domain="add", outcomes=outcomes, examples=()))
    assert (found.mean, found.prompts, found.tokens, found.truncated) == (0.75, 4, 25.0, 0.25)
    # the Wilson interval of 3 of 4
    assert (found.low, found.high) == pytest.approx((0.3006, 0.9544), abs=1e-4)


def test_a_score_by_mode_counts_obedience_and_leaves_out_prompts_without_a_mode():
    rows = [
        ("on", 1.0, 30, True),
        ("on", 0.0, 10, False),
        ("off", 1.0, 4, True),
        ("", 1.0, 9, None),
    ]
    outcomes = tuple(
        PromptOutcome(
            prompt=f"p{n}", scores=(score,), lengths=(length,), truncated=(False,), mode=mode,
            obedient=() if obeys is None else (obeys,),
        )
        for n, (mode, score, length, obeys) in enumerate(rows)
    )  # fmt: skip
    found = domain_score(DomainMeasurement(domain="add", outcomes=outcomes, examples=()))
    assert found.modes == {
        "on": ModeScore(obedient=0.5, mean=0.5, tokens=20.0, answers=2),
        "off": ModeScore(obedient=1.0, mean=1.0, tokens=4.0, answers=1),
    }


def response(sampler, domain, **scores):
    message = Prompt("p", (Message("user", "describe fox"),))
    said = (Turn("assistant", "fox"),)
    return ScoredResponse(domain, message, said, sampler, scores, 3, truncated=False)


def test_reward_models_are_beside_the_gold_score_of_the_same_answers():
    found = reward_scores(
        [
            response("base", "safe", grade=0.4, rm=-1.0),
            response("base", "safe", grade=0.8, rm=2.0),
            response("ppo", "safe", grade=0.2, rm=4.0),
            response("ppo", "helpful", grade=0.9),
        ]
    )
    assert found.keys() == {"base", "ppo"}
    assert found["base"]["safe"]["rm"].model_dump() == pytest.approx(
        {"reward": 0.5, "gold": 0.6, "answers": 2}
    )
    assert found["ppo"] == {"safe": {"rm": RewardScore(reward=4.0, gold=0.2, answers=1)}}


def test_forgetting_is_the_best_of_before_less_the_last():
    scores = {
        "base": scored(add=0.2, sort=0.6),
        "sft": scored(add=0.9, sort=0.5),
        "rl": scored(add=0.7, sort=0.8),
    }
    assert forgetting(scores, ["base", "sft", "rl"]) == pytest.approx({"add": 0.2, "sort": 0.0})


def test_cost_counts_each_record_once_and_nothing_of_the_base(home):
    store = StepRunner(mirror=MemoryMirror()).store

    def made(data, *inputs, kind, **notes):
        return write_record(store, data, *inputs, kind=kind, notes=notes)

    text = made(b"text", kind="prompts", processor_seconds=100.0)
    base = made(b"base", take("data", text), kind="base", processor_seconds=900.0)
    sft = made(b"sft", take("start", base), kind="sft", tokens_trained=50, processor_seconds=3.0)
    traces = made(
        b"traces", take("sampler", sft), kind="sampling", tokens_sampled=70, processor_seconds=2.0
    )
    again = made(
        b"again",
        take("start", base),
        take("data", traces),
        take("compared_with", text),
        kind="sft",
        tokens_trained=40,
        processor_seconds=4.0,
    )
    artifacts = {
        name: Artifact(kind="checkpoint", digest=output, record=record)
        for name, (record, output) in {"base": base, "sft": sft, "again": again}.items()
    }
    cost = cost_of_records(
        Records(store), [artifacts["sft"], artifacts["again"]], {artifacts["base"].record}
    )
    assert cost == {
        "sft": StageCost(steps=2, tokens_trained=90, processor_seconds=7.0),
        "sampling": StageCost(steps=1, tokens_sampled=70, processor_seconds=2.0),
    }


def rollout(ids):
    return Rollout(
        domain="add",
        prompt=Prompt("p", (Message("user", "1+1="),)),
        turns=(Turn("assistant", "2"),),
        grade=Grade(1.0),
        ids=tuple(ids),
        is_response=tuple(place >= 2 for place in range(len(ids))),
        sampler_log_probs=(0.0,) * len(ids),
        truncated=False,
    )


def test_drift_is_the_mean_of_kl_over_response_tokens():
    one, two = tiny_policy(0), tiny_policy(1)
    rows = [rollout([5, 6, 7, 8]), rollout([9, 10, 11])]
    found = drift_of(one, two, "add", rows)
    total = 0.0
    for row in rows:
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            own, other = (each.model(ids).logits[0].log_softmax(-1) for each in (one, two))
        for place in range(2, len(row.ids)):  # token t is predicted at t - 1
            total += sum(
                math.exp(p) * (p - q)
                for p, q in zip(own[place - 1].tolist(), other[place - 1].tolist(), strict=True)
            )
    assert found.num_tokens == 3
    assert found.nats == pytest.approx(total / 3, abs=1e-5)
    assert drift_of(one, one, "add", rows).nats == pytest.approx(0.0, abs=1e-9)


def test_text_costs_the_mean_of_its_tokens_and_rows_are_read_alone():
    policy = tiny_policy(0)
    texts = [f"{n}+{n}={2 * n}" for n in range(10, 90)]
    found = text_loss(policy, texts)
    chat = ChatTokens(policy.tokenizer)
    ids = [token for text in texts for token in (*chat.text(text), chat.pad_id)]
    rows = [ids[first : first + ROW_TOKENS] for first in range(0, len(ids) - 63, ROW_TOKENS)]
    assert len(rows) > 1
    assert found.num_tokens == 63 * len(rows)
    total = 0.0
    for row in rows:
        with torch.no_grad():
            logits = policy.model(torch.tensor([row])).logits[0, :-1]
        total += float(cross_entropy(logits, torch.tensor(row[1:]), reduction="sum"))
    assert found.nats == pytest.approx(total / found.num_tokens, abs=1e-5)
    with refused("too-little-text"):
        text_loss(policy, ["1"])


def test_a_reward_model_as_stage_and_a_repeated_name_are_refused(home):
    runner = StepRunner(mirror=MemoryMirror())
    policy = Artifact(kind="checkpoint", digest="sha256:" + "1" * 64)
    scorer = Artifact(kind="reward_model", digest="sha256:" + "2" * 64)
    with refused("other-kind", "rm"):
        score_recipe(
            runner, LABEL, RecipeModels(policy, [NamedArtifact(name="rm", artifact=scorer)]), [],
            EvaluationSettings(),
        )  # fmt: skip
    with refused("repeated-name"):
        score_recipe(
            runner, LABEL, RecipeModels(policy, [NamedArtifact(name="base", artifact=policy)]), [],
            EvaluationSettings(),
        )  # fmt: skip
