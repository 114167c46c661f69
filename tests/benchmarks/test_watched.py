"""Claims about modes and reward models, judged by hand-made runs."""

from benchmarks.recipes.claims.watched import (
    holds_in_mode,
    keeps_text,
    obeys,
    rewarded,
    rises_in_mode,
    surer_of_clear_pairs,
    thinking_helps,
    thinks_longer,
)
from benchmarks.recipes.evidence import Evidence
from tasks.evaluate.recipe_rewards import RewardScore
from tasks.evaluate.scores import PromptOutcome


def of_mode(mode, scores, tokens, obedient):
    return [
        PromptOutcome(
            prompt=f"{mode}{place}", scores=(score,), lengths=(tokens,), mode=mode,
            obedient=(place < obedient,),
        )
        for place, score in enumerate(scores)
    ]  # fmt: skip


def run(on, off, rewards=()):
    """Return a run with one stage; a mode is its scores, its tokens, and how many obey."""
    plain = PromptOutcome(prompt="p", scores=(1.0,), lengths=(500,))
    artifact = {"kind": "checkpoint", "digest": "sha256:" + "0" * 64, "record": "", "uri": ""}
    card = {
        **{"label": {"system": "deepseek_v31", "scale": "tiny", "seed": 0}, "base": artifact},
        **{"stages": [{"name": "rl", "artifact": artifact}], "scores": {}, "drift": {}},
        **{"forgetting": {}, "cost": {}},
        "rewards": {
            stage: {"safe": {"rm": RewardScore(reward=value, gold=0.5, answers=4).model_dump()}}
            for stage, value in rewards
        },
    }
    outcomes = {"rl": {"add": [*of_mode("on", *on), *of_mode("off", *off), plain]}}
    return Evidence.model_validate(
        {"card": card, "record": "", "outcomes": outcomes, "series": {}, "reward_models": [],
         "svg": ""}
    )  # fmt: skip


MOST = [1.0] * 18 + [0.0] * 2
FEW = [1.0] * 4 + [0.0] * 16


def test_obedience_counts_the_worse_mode():
    found = obeys("rl", ["add"], least=0.9).judge([run((MOST, 60, 20), (FEW, 6, 18))])
    assert (found.holds, found.value) == (True, 0.9)
    assert not obeys("rl", ["add"], least=0.95).judge([run((MOST, 60, 20), (FEW, 6, 18))]).holds


def test_thinking_helps_where_the_interval_leaves_out_zero():
    found = thinking_helps("rl", ["add"]).judge([run((MOST, 60, 20), (FEW, 6, 20))])
    assert found.holds
    assert found.value == 0.9 - 0.2
    assert not thinking_helps("rl", ["add"]).judge([run((FEW, 60, 20), (MOST, 6, 20))]).holds
    assert not thinking_helps("rl", ["add"]).judge([run((MOST, 60, 20), (MOST, 6, 20))]).holds


def test_answers_without_thinking_are_a_share_as_long():
    found = thinks_longer("rl", ["add"]).judge([run((MOST, 60, 20), (FEW, 6, 20))])
    assert (found.holds, found.value) == (True, 0.1)
    assert not thinks_longer("rl", ["add"]).judge([run((MOST, 60, 20), (FEW, 31, 20))]).holds


def test_a_mode_is_compared_on_its_own_prompts():
    before, after = run((MOST, 60, 20), (FEW, 6, 20)), run((FEW, 60, 20), (MOST, 6, 20))
    both = before.model_copy(
        update={"outcomes": {"sft": before.outcomes["rl"], "rl": after.outcomes["rl"]}}
    )
    rise = rises_in_mode("rl", over="sft", domains=["add"], mode="off").judge([both])
    assert (rise.holds, round(rise.value, 9)) == (True, 0.7)
    assert not rises_in_mode("rl", over="sft", domains=["add"], mode="on").judge([both]).holds
    fall = holds_in_mode("rl", beside="sft", domains=["add"], mode="on", margin=0.71)
    assert fall.judge([both]).holds
    near = holds_in_mode("rl", beside="sft", domains=["add"], mode="on", margin=0.69)
    assert not near.judge([both]).holds


def test_a_reward_rises_in_every_seed():
    rows = [run((MOST, 60, 20), (FEW, 6, 20), [("rl", high), ("sft", 1.0)]) for high in (2.0, 1.5)]
    claim = rewarded("rl", over="sft", model="rm", domains=["safe"])
    assert (claim.judge(rows).holds, claim.judge(rows).value) == (True, 0.75)
    falling = run((MOST, 60, 20), (FEW, 6, 20), [("rl", 0.5), ("sft", 1.0)])
    assert not claim.judge([*rows, falling]).holds


def test_text_is_kept_in_every_seed():
    rows = [
        one.model_copy(update={"card": one.card.model_copy(update={"text": nats})})
        for one, nats in (
            (run((MOST, 60, 20), (FEW, 6, 20)), {"ppo": 2.5, "ptx": 2.0}),
            (run((MOST, 60, 20), (FEW, 6, 20)), {"ppo": 2.0, "ptx": 2.25}),
        )
    ]
    assert (
        keeps_text("ptx", beside="ppo").judge(rows[:1]).holds,
        keeps_text("ptx", beside="ppo").judge(rows).value,
    ) == (True, 0.125)
    assert not keeps_text("ptx", beside="ppo").judge(rows).holds


def test_clear_pairs_are_counted_over_all_reward_models():
    def scorer(**accuracy):
        found = {}
        for name, (share, pairs) in accuracy.items():
            found[f"reward_model/accuracy_{name}"] = [[2, share]]
            found[f"reward_model/accuracy_{name}_pairs"] = [[2, pairs]]
        return found

    plain = run((MOST, 60, 20), (FEW, 6, 20))
    both = [scorer(significantly=(1.0, 10), negligibly=(0.5, 30)), scorer(negligibly=(0.9, 10))]
    judged = surer_of_clear_pairs().judge([plain.model_copy(update={"reward_models": both})])
    assert (judged.holds, round(judged.value, 9)) == (True, 0.4)  # 1 less 0.6, of 24 of 40
    unclear = [scorer(significantly=(0.5, 10), negligibly=(0.75, 10))]
    assert (
        not surer_of_clear_pairs()
        .judge([plain.model_copy(update={"reward_models": unclear})])
        .holds
    )
