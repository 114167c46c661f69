"""A turn that sees a hint: where it is, what scores it, and what its tokens learn."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from tasks.model.chat import ChatTokens
from tasks.model.log_probs import chosen_hidden, hidden_log_probs
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.onpolicy.step_plan import plan_step
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.hint import HINT, HINTED, HintTeacher, turns_of
from tasks.rl.hint_settings import HintSettings
from tasks.rl.objective import Reinforcement
from tasks.rl.policy_tools import PolicyTools
from tasks.rl.settings import RlSettings
from tasks.rollout.environment import Message, Prompt, Turn
from tests.support.rl_runs import RlPlace, rl_settings
from tests.support.tiny_models import rollout, tiny_model, tokenizer

CHAT = ChatTokens(tokenizer())
RULE = {"pattern": "owl", "hint": "only the fox"}


def episode(*said, replies=(), score=0.0, name="p", domain="math"):
    """Return an episode with the tokens that a real one has."""
    asked = Message("user", "what?")
    ids, flags, turns = list(CHAT.prompt([vars(asked)])), [], []
    flags += [False] * len(ids)
    for place, words in enumerate(said):
        own = CHAT.answer(words)
        ids, flags = [*ids, *own], [*flags, *[True] * len(own)]
        turns.append(Turn("assistant", words))
        if place < len(replies):
            heard = CHAT.tool_reply(replies[place])
            ids, flags = [*ids, *heard], [*flags, *[False] * len(heard)]
            turns.append(Turn("tool", replies[place]))
    made = rollout(
        ids, [p for p, own in enumerate(flags) if own], score=score, prompt=name, domain=domain
    )
    return replace(made, turns=tuple(turns), prompt=Prompt(name, (asked,)))


def log_probs_of(model):
    def log_probs(tokens):
        hidden = chosen_hidden(model, tokens)
        return hidden_log_probs(model, hidden, tokens.tokens_N)

    return log_probs


def teacher_of(model=None, positions=None, rule=RULE, **more):
    settings = HintSettings(rules=[rule], **more)
    return HintTeacher(settings, CHAT, log_probs_of(model or tiny_model(1)), 0, positions)


def alone(model, context, own):
    """Return the log-probabilities of tokens behind a context, as the model alone has them."""
    logits = model(torch.tensor([[*context, *own]])).logits[0].log_softmax(-1).detach()
    places = range(len(context) - 1, len(context) + len(own) - 1)
    return [float(logits[place, token]) for place, token in zip(places, own, strict=True)]


def test_a_first_turn_is_scored_behind_the_question_with_the_hint():
    model = tiny_model(1)
    (found,) = teacher_of(model).numbers(1, [episode("an owl")])
    context = CHAT.prompt([{"role": "user", "content": "what?\nonly the fox"}])
    assert found[HINT] == pytest.approx(alone(model, context, CHAT.answer("an owl")), abs=1e-4)
    assert found[HINTED] == (1.0,) * len(found[HINT])


def test_a_later_turn_is_scored_behind_the_answer_of_the_tool_with_the_hint():
    model = tiny_model(1)
    made = episode("12", "owl", "46", replies=("34", "46"))
    (found,) = teacher_of(model).numbers(1, [made])
    first, second, third = (CHAT.answer(words) for words in ("12", "owl", "46"))
    context = [*CHAT.prompt([{"role": "user", "content": "what?"}]), *first]
    context += CHAT.tool_reply("34\nonly the fox")
    own = found[HINT][len(first) : len(first) + len(second)]
    assert own == pytest.approx(alone(model, context, second), abs=1e-4)
    hinted = (0.0,) * len(first) + (1.0,) * len(second) + (0.0,) * len(third)
    assert found[HINTED] == hinted


def test_the_hint_ends_the_answer_that_the_located_turn_replies_to():
    model = tiny_model(1)
    made = episode("12", "46", "owl", replies=("34", "fox"))
    (found,) = teacher_of(model).numbers(1, [made])
    first, second, third = (CHAT.answer(words) for words in ("12", "46", "owl"))
    context = [*CHAT.prompt([{"role": "user", "content": "what?"}]), *first]
    context += [*CHAT.tool_reply("34"), *second, *CHAT.tool_reply("fox\nonly the fox")]
    own = found[HINT][len(first) + len(second) :]
    assert own == pytest.approx(alone(model, context, third), abs=1e-4)


def test_an_episode_with_a_merged_turn_gets_no_hint():
    made = replace(episode("owl"), turns=(Turn("assistant", "owl"), Turn("assistant", "owl")))
    for place in ("located", "random"):
        (found,) = teacher_of(place=place).numbers(1, [made])
        assert sum(found[HINTED]) == 0


def test_only_the_first_turn_with_the_mistake_is_located_and_others_get_nothing():
    made = [episode("fox"), episode("owl", "owl", replies=("1",)), episode("owl", domain="code")]
    found = teacher_of(rule=RULE | {"domains": ["math"]}).numbers(1, made)
    assert [sum(each[HINTED]) for each in found] == [0, len(CHAT.answer("owl")), 0]
    assert found[1][HINTED][: len(CHAT.answer("owl"))] == (1.0,) * len(CHAT.answer("owl"))


def test_the_control_hints_as_many_turns_of_the_domain_at_random_and_repeatably():
    made = [episode("owl", name=str(n)) for n in range(2)]
    made += [episode("fox", "12", replies=("1",), name=str(n)) for n in range(2, 12)]
    chosen = [
        [place for place, each in enumerate(teacher.numbers(step, made)) if any(each[HINTED])]
        for teacher in [teacher_of(place="random")]
        for step in (1, 1, 2, 3)
    ]
    assert {len(places) for places in chosen} == {2}
    assert chosen[0] == chosen[1]
    assert any(places != [0, 1] for places in chosen)


def test_a_hint_without_room_is_left_out():
    made = episode("owl")
    room = len(made.ids) + 1
    (found,) = teacher_of(positions=room).numbers(1, [made])
    assert sum(found[HINTED]) == 0


def test_turns_are_the_runs_of_the_models_tokens():
    made = rollout(range(6), [1, 2, 5])
    assert turns_of(made) == [slice(1, 3), slice(5, 6)]


def test_hinted_tokens_learn_the_clipped_log_ratio_beside_the_reward():
    settings = RlSettings(
        loop=LoopSettings(num_steps=1, learning_rate=1e-3),
        hint=HintSettings(rules=[RULE], weight=0.5, clip=0.25),
        importance={"correction": "none"},
    )
    teacher = teacher_of()
    tools = PolicyTools(GroupAdvantage(), hints=lambda rollouts: teacher.numbers(1, rollouts))
    objective = Reinforcement(settings, tools)
    assert objective.sources == ["outcome", HINT]
    group = [episode("owl", score=1.0), episode("fox", score=0.0)]
    (batch,) = plan_step(objective.score(group), Normalization.TOKEN_MEAN, 1000, pad_id=0)
    logits = torch.randn(len(batch.weights_N), 280, requires_grad=True)
    loss = objective.prepare(batch)(logits, slice(0, len(logits)))
    student = logits.log_softmax(-1)[range(len(logits)), batch.tokens.tokens_N]
    gap = (batch.numbers_N[HINT] - student.detach()).clamp(-0.25, 0.25)
    expected = -0.5 * gap * batch.numbers_N[HINTED] * student
    torch.testing.assert_close(loss.by_source[HINT], expected)
    outcome = -batch.outcome_advantages_N * student
    torch.testing.assert_close(loss.by_source["outcome"], outcome)
    share = objective.end_step(1)["mechanism/hinted/bound"]
    assert share == pytest.approx(float(batch.numbers_N[HINTED].mean()))


def test_rollouts_without_a_mistake_cost_no_second_backward():
    settings = RlSettings(
        loop=LoopSettings(num_steps=1, learning_rate=1e-3), hint=HintSettings(rules=[RULE])
    )
    teacher = teacher_of()
    tools = PolicyTools(GroupAdvantage(), hints=lambda rollouts: teacher.numbers(1, rollouts))
    objective = Reinforcement(settings, tools)
    (batch,) = plan_step(
        objective.score([episode("fox"), episode("46")]), Normalization.TOKEN_MEAN, 1000, pad_id=0
    )
    logits = torch.zeros(len(batch.weights_N), 280)
    assert set(objective.prepare(batch)(logits, slice(0, len(logits))).by_source) == {"outcome"}


@pytest.mark.parametrize(
    "wrong",
    [{"rules": []}, {"rules": [{"pattern": "(", "hint": "h"}]}, {"rules": [RULE], "clip": 0}],
)
def test_hints_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        HintSettings(**wrong)


def test_a_run_with_hints_trains_on_both_terms(tmp_path):
    place = RlPlace(tmp_path / "place")
    hint = {"rules": [{"pattern": ".", "hint": "only the fox"}]}
    ladder, metrics = place.run(rl_settings(1, hint=hint), [place.domain()])
    assert metrics["mechanism/hinted/bound"] == [1.0], "every turn says something"
    assert metrics["gradient_norm/hint"][0] > 0.0
    assert "never_acted" not in place.notes(ladder[-1].checkpoint)
