"""A domain's episodes against a model's positions and the limit of a turn."""

import random
import string

import pytest

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.rollout.environment import Demonstration, Message, Prompt, Turn
from tasks.rollout.fit import (
    ChatReader,
    Longest,
    cut_turns,
    longest_prompt,
    longest_turn,
    without_room,
)
from tests.support.refused import refused
from tests.support.templates import names, tokenizer_of
from tests.support.tiny_models import tokenizer

CHAT = ChatTokens(tokenizer())
PROMPTS = [
    Prompt(name, (Message("user", text),), {})
    for name, text in (("short", "a"), ("long", "a b c d e f"), ("middle", "a b c"))
]


def tokens_of(prompt):
    return len(CHAT.prompt([vars(message) for message in prompt.messages]))


def test_the_longest_prompt_is_the_one_that_leaves_the_least_room():
    found = longest_prompt(ChatReader(CHAT, 64), "math", PROMPTS)
    assert (found.prompt.id, found.num_tokens, found.reserved) == ("long", tokens_of(PROMPTS[1]), 0)
    behind = {"short": 50, "middle": 0, "long": 1}
    found = longest_prompt(
        ChatReader(CHAT, 64), "math", PROMPTS, lambda domain, prompt: behind[prompt.id]
    )
    assert (found.prompt.id, found.taken) == ("short", tokens_of(PROMPTS[0]) + 50)


def counted(monkeypatch):
    """Return a list that grows by the messages of each prompt that is tokenized."""
    seen, own = [], CHAT.prompt
    monkeypatch.setattr(CHAT, "prompt", lambda messages, mode="": seen.append(1) or own(messages))
    return seen


def test_prompts_that_cannot_be_the_longest_are_not_tokenized(monkeypatch):
    long = Prompt("long", (Message("user", "a " * 40),), {})
    seen = counted(monkeypatch)
    assert longest_prompt(ChatReader(CHAT, 64), "math", [*PROMPTS, long] * 50).prompt.id == "long"
    assert len(seen) == 51  # the frame, and the long one each time, as all may be longest


def test_prompts_that_surely_fit_are_not_tokenized(monkeypatch):
    reader, least = ChatReader(CHAT, 64), tokens_of(PROMPTS[1])
    seen = counted(monkeypatch)
    assert longest_prompt(reader, "math", PROMPTS * 50, enough=100).num_tokens <= 100
    assert len(seen) == 2  # the frame and one prompt
    assert longest_prompt(reader, "math", PROMPTS, enough=least - 1).prompt.id == "long"


@pytest.mark.parametrize("name", names())
def test_the_longest_prompt_is_that_of_every_template(name):
    draws = random.Random(name)
    prompts = [
        Prompt(str(place), (Message("user", text),), {})
        for place, text in enumerate(
            "".join(draws.choices(string.printable, k=draws.randint(1, 60))) for _ in range(20)
        )
    ]

    try:
        chat = ChatTokens(tokenizer_of(name))
        lengths = [len(chat.prompt([vars(m) for m in prompt.messages])) for prompt in prompts]
    except RefusedError:
        return  # test_templates requires each refusal
    assert longest_prompt(ChatReader(chat, None), "math", prompts).num_tokens == max(lengths)


@pytest.mark.parametrize("text", ["\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 9, "é" * 30])
def test_a_short_prompt_of_other_letters_may_be_the_longest(text):
    # Their tokens are not bounded by their letters.
    other = Prompt("other", (Message("user", text),), {})
    prompts = [*PROMPTS, Prompt("plain", (Message("user", "a" * 20),), {}), other]
    found = longest_prompt(ChatReader(CHAT, 64), "math", prompts)
    assert found.num_tokens == max(map(tokens_of, prompts)) == tokens_of(other)


@pytest.mark.parametrize(
    ("limit", "fits"),
    # a prompt of 200 and two turns of 256 take 200 + 2 * 256 = 712
    [(712, True), (711, False), (512, False)],
)
def test_all_turns_of_an_episode_count_against_the_positions(limit, fits):
    said = without_room(Longest(PROMPTS[0], 200), 2, 256, limit)
    assert (said == "") == fits
    assert fits or ("712" in said and str(limit) in said and "'short'" in said)


def test_a_system_prompt_of_the_teacher_takes_positions():
    assert without_room(Longest(PROMPTS[0], 10, 5), 1, 5, 20) == ""
    assert without_room(Longest(PROMPTS[0], 10, 6), 1, 5, 20)  # 10 + 6 + 5 = 21


def test_only_the_text_of_the_models_own_turns_is_measured():
    turns = (Turn("assistant", "a b"), Turn("tool", "a b c d e f g h"), Turn("assistant", "a"))
    made = Demonstration((Message("user", "q"),), turns)
    assert longest_turn(CHAT, made) == len(CHAT.text("a b"))


@pytest.mark.parametrize(
    ("lengths", "said", "code"),
    [
        ([24, 24, 3], "", ""),
        ([25, 24, 3, 3], "1 of 4", ""),  # a quarter
        ([25, 187, 3, 3], "2 of 4", ""),  # exactly half
        ([25, 187, 40, 3], "3 of 4", "turn-too-long"),
    ],
)
def test_answers_that_are_mostly_cut_are_refused_and_few_are_a_warning(lengths, said, code):
    if code:
        with refused(code, "'math'", said, "24", "187"):
            cut_turns("math", lengths, 24)
        return
    found = cut_turns("math", lengths, 24)
    assert said in found
    assert bool(found) == bool(said)
