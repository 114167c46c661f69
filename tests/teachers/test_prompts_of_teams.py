"""What holds for the prompts and demonstrations of every domain."""

import pytest

from tasks.rollout.client import LocalEnvironment
from tasks.rollout.environment import SPLITS, split_of
from tests.support.team_domains import EACH_DOMAIN, NAMES, environment_of, prompt_of, source_of

COUNT = {"train": 1000, "validation": 200, "evaluation": 500}


def asked(name, split, seed):
    """Return what the model sees of each prompt of a split."""
    return [prompt.messages for prompt in source_of(name).prompts(split, COUNT[split], seed)]


@EACH_DOMAIN
def test_splits_have_no_prompt_in_common_whatever_their_seeds(name):
    seen = {split: {*asked(name, split, 0), *asked(name, split, 1)} for split in SPLITS}
    assert seen["train"].isdisjoint(seen["evaluation"])
    assert seen["train"].isdisjoint(seen["validation"])
    assert seen["validation"].isdisjoint(seen["evaluation"])


@EACH_DOMAIN
def test_a_demonstration_never_answers_a_held_out_prompt(name):
    shown = {example.messages for example in source_of(name).demonstrations(2000, 0)}
    assert shown.isdisjoint(asked(name, "evaluation", 0))
    assert shown.isdisjoint(asked(name, "validation", 0))


def test_a_sum_that_one_domain_holds_out_is_held_out_by_all():
    def sums(split):
        questions = {messages[-1].content for name in NAMES for messages in asked(name, split, 0)}
        return {question for question in questions if question[0].isdigit()}

    held_out = sums("evaluation")
    assert len(held_out) > 1000
    assert held_out.isdisjoint(sums("train") | sums("validation"))
    assert {split_of(question) for question in held_out} == {"evaluation"}


@EACH_DOMAIN
def test_a_split_has_the_configured_number_of_different_prompts(name):
    # The client refuses another number than asked for, and ids that are not unique.
    client = LocalEnvironment(environment_of(name), source_of(name))
    for split in SPLITS:
        prompts = client.prompts(split, COUNT[split], 0)
        assert len({prompt.messages for prompt in prompts}) == COUNT[split]


@EACH_DOMAIN
def test_prompts_and_demonstrations_are_repeatable_from_their_seed(name):
    source = source_of(name)
    for seed in (0, 1):
        assert list(source.prompts("train", 50, seed)) == list(source.prompts("train", 50, seed))
        assert list(source.demonstrations(50, seed)) == list(source.demonstrations(50, seed))
    assert list(source.prompts("train", 50, 0)) != list(source.prompts("train", 50, 1))
    assert list(source.demonstrations(50, 0)) != list(source.demonstrations(50, 1))


@EACH_DOMAIN
def test_more_prompts_begin_with_the_same_prompts(name):
    source = source_of(name)
    assert list(source.prompts("train", 80, 0))[:30] == list(source.prompts("train", 30, 0))


@EACH_DOMAIN
def test_a_prompt_is_a_system_message_and_a_question(name):
    for messages in asked(name, "train", 0)[:100]:
        assert [message.role for message in messages] == ["system", "user"]


@pytest.mark.medium
@EACH_DOMAIN
def test_as_many_demonstrations_are_right_as_is_declared(name):
    source, environment = source_of(name), environment_of(name)
    examples = list(source.demonstrations(2000, 0))
    prompts = prompt_of(name, examples, 0)
    grades = [environment.grade(prompts[e.messages], e.turns).score for e in examples]
    assert set(grades) == {0.0, 1.0}
    # The standard error of a share of 0.45 among 2,000 is 0.011; four of them.
    assert sum(grades) / len(grades) == pytest.approx(source.RIGHT_SHARE, abs=0.045)


@EACH_DOMAIN
def test_a_demonstrated_episode_is_one_that_the_environment_would_play(name):
    environment = environment_of(name)
    examples = list(source_of(name).demonstrations(300, 0))
    prompts = prompt_of(name, examples, 0)
    for example in examples:
        said = [turn for turn in example.turns if turn.role == "assistant"]
        assert len(said) <= environment.max_turns
        replies = [turn.content for turn in example.turns if turn.role == "tool"]
        ends = [place for place, turn in enumerate(example.turns, 1) if turn.role == "assistant"]
        heard = [
            environment.respond(prompts[example.messages], example.turns[:end]) for end in ends
        ]
        assert heard == [*replies, None]
