"""Each convention of the fresh family: what it changes, and that a grader accepts it."""

import importlib
import re

import pytest

from benchmarks.gate.fresh.family import DOMAINS
from benchmarks.gate.fresh.grader.environment import ENVIRONMENT, SPANISH_WORDS, in_spanish
from benchmarks.gate.fresh.rewording import (
    ALONE,
    DEFAULT,
    END_MARK,
    LEAD_IN,
    OTHER_TOOL,
    QUOTED,
    REWORDINGS,
    SPACED,
    SPANISH,
    THINKS,
    TURNED,
    TWICE,
    TWO_LINES,
)
from tasks.rollout.environment import Message, Prompt, Turn
from workflows.teachers.code.environment import ENVIRONMENT as CODE
from workflows.teachers.instruct.prompts import WORDS

SUM = Prompt("math-37+48", (Message("user", "37+48"),), {"answer": "85"})
LESS = Prompt("math-52-17", (Message("user", "52-17"),), {"answer": "35"})
PROGRAM = Prompt("code-12+17-12", (Message("user", "12+17"),), {"tests": [[12, 29], [-3, 14]]})
ONE = Prompt("agent-120+35", (Message("user", "120+35"),), {"answer": "155"})
TWO = Prompt("agent-120+35-5", (Message("user", "120+35-5"),), {"answer": "150"})
SAY = Prompt(
    "instruct-fox",
    (Message("user", "fox"),),
    {"question": "fox", "count": 2, "join": "-", "case": "upper", "end": "!"},
)
CALLED = ["<tool_call>120+35</tool_call>", "155", "155"]
CALLED_TWICE = [
    "<tool_call>120+35</tool_call>",
    "155",
    "<tool_call>155-5</tool_call>",
    "150",
    "150",
]
ANSWERS = {"math": "37+48=85", "code": "def f(x):return x+17", "instruct": "FOX-FOX!"}


def turns(*said):
    """Model and tool in turn; a single text is the model's."""
    return [Turn("tool" if place % 2 else "assistant", text) for place, text in enumerate(said)]


def reworded(kind, domain, prompt, *said):
    return [turn.content for turn in REWORDINGS[kind, domain](prompt, turns(*said))]


@pytest.mark.parametrize(
    ("kind", "domain", "prompt", "said", "expected"),
    [
        (END_MARK, "math", SUM, "37+48=85", "37+48=85."),
        (SPACED, "math", SUM, "37+48=85", "37 + 48 = 85"),
        (THINKS, "math", SUM, "37+48=85", "(7+8=15,3+4+1=8)37+48=85"),
        (THINKS, "math", LESS, "52-17=35", "(2-7=5,5-1-1=3)52-17=35"),
        (SPANISH, "math", SUM, "37+48=85", "37+48=ocho cinco"),
        (ALONE, "math", SUM, "37+48=85", "85"),
        (TURNED, "math", SUM, "37+48=85", "85=37+48"),
        (END_MARK, "code", PROGRAM, "def f(x):return x+17", "def f(x):return x+17;"),
        (SPACED, "code", PROGRAM, "def f(x):return x+17", "def f(x): return x + 17"),
        (THINKS, "code", PROGRAM, "def f(x):return x+17", "#12+17 x=12\ndef f(x):return x+17"),
        (TWO_LINES, "code", PROGRAM, "def f(x):return x+17", "def f(x):\n y=x+17\n return y"),
        (DEFAULT, "code", PROGRAM, "def f(x):return x+17", "def f(x,k=17):return x+k"),
        (END_MARK, "instruct", SAY, "FOX-FOX!", "FOX-FOX!*"),
        (SPACED, "instruct", SAY, "FOX-FOX!", "FOX - FOX !"),
        (THINKS, "instruct", SAY, "FOX-FOX!", "(2 upper - !)FOX-FOX!"),
        (SPANISH, "instruct", SAY, "FOX-FOX!", "ZORRO-ZORRO!"),
        (QUOTED, "instruct", SAY, "FOX-FOX!", '"FOX-FOX!"'),
        (LEAD_IN, "instruct", SAY, "FOX-FOX!", "OK: FOX-FOX!"),
    ],
)
def test_an_answer_of_one_turn_is_reworded(kind, domain, prompt, said, expected):
    assert reworded(kind, domain, prompt, said) == [expected]


@pytest.mark.parametrize(
    ("kind", "prompt", "said", "expected"),
    [
        (END_MARK, ONE, CALLED, [*CALLED[:2], "155."]),
        (SPACED, ONE, CALLED, ["<tool_call>120 + 35</tool_call>", *CALLED[1:]]),
        (SPANISH, ONE, CALLED, [*CALLED[:2], "uno cinco cinco"]),
        (TURNED, ONE, CALLED, ["<tool_call>35+120</tool_call>", *CALLED[1:]]),
        (OTHER_TOOL, ONE, CALLED, ["<tool_call>add(120,35)</tool_call>", *CALLED[1:]]),
        (TWICE, ONE, CALLED, [*CALLED[:2], *CALLED]),
        (TWICE, TWO, CALLED_TWICE, CALLED_TWICE),
        (THINKS, ONE, CALLED, ["(1 of 1)<tool_call>120+35</tool_call>", *CALLED[1:]]),
    ],
)
def test_an_answer_with_a_tool_is_reworded(kind, prompt, said, expected):
    assert reworded(kind, "agent", prompt, *said) == expected


def test_both_calls_of_an_answer_are_reworded():
    calls = reworded(OTHER_TOOL, "agent", TWO, *CALLED_TWICE)[::2]
    assert calls[:2] == ["<tool_call>add(120,35)</tool_call>", "<tool_call>sub(155,5)</tool_call>"]
    thoughts = reworded(THINKS, "agent", TWO, *CALLED_TWICE)[::2]
    assert [text[:8] for text in thoughts[:2]] == ["(1 of 2)", "(2 of 2)"]


def right_answer(domain, prompt):
    """Return what the demo's teachers say to a prompt."""
    question = prompt.messages[-1].content
    if domain == "math":
        return turns(f"{question}={prompt.task['answer']}")
    if domain == "code":
        first, sign, second = re.split("([+-])", question)
        value = prompt.task["tests"][0][0]
        body = f"x{sign}{second}" if value == int(first) else f"{first}{sign}x"
        return turns(f"def f(x):return {body}")
    if domain == "instruct":
        task = prompt.task
        word = task["question"].upper() if task["case"] == "upper" else task["question"].lower()
        return turns(task["join"].join([word] * task["count"]) + task["end"])
    said, (total, *rest) = [], re.split("([+-])", question)
    for sign, number in zip(rest[::2], rest[1::2], strict=True):
        result = str(int(total) + int(number) if sign == "+" else int(total) - int(number))
        said += [f"<tool_call>{total}{sign}{number}</tool_call>", result]
        total = result
    return turns(*said, total)


def played(environment, prompt, said):
    """Return the turns with the environment's own answers to the calls."""
    found = []
    for turn in said:
        if turn.role == "assistant":
            found.append(turn)
            if (answer := environment.respond(prompt, found)) is not None:
                found.append(Turn("tool", answer))
    return found


@pytest.mark.parametrize(("kind", "domain"), REWORDINGS, ids=" ".join)
def test_the_grader_accepts_every_right_answer_in_another_convention(kind, domain):
    prompts = importlib.import_module(f"workflows.teachers.{domain}.prompts").prompts
    environment = CODE if domain == "code" else ENVIRONMENT
    changed = 0
    for prompt in prompts("train", 3 if domain == "code" else 60, 5):
        said = right_answer(domain, prompt)
        other = REWORDINGS[kind, domain](prompt, said)
        changed += other != said
        for version in (said, other):
            episode = played(environment, prompt, version)
            assert environment.grade(prompt, episode).score == 1.0, episode
            assert sum(turn.role == "assistant" for turn in episode) <= 3
    assert changed > 0


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (SUM, ["84"]),
        (SUM, ["37+48=ocho seis"]),
        (SUM, ["84=37+48"]),
        (SUM, ["(7+8=15)"]),
        (ONE, ["155"]),  # guessed
        (ONE, ["<tool_call>add(120,35)</tool_call>", "155", "156"]),
        (ONE, ["<tool_call>mul(120,35)</tool_call>", "error", "155"]),
        (SAY, ["FOX-FOX"]),
        (SAY, ["OWL-OWL!"]),
        (SAY, ["buho-buho!"]),
    ],
)
def test_a_wrong_answer_stays_wrong(prompt, said):
    assert ENVIRONMENT.grade(prompt, turns(*said)).score == 0.0


def test_calls_are_answered_in_both_forms_and_no_others():
    def answered(call):
        return ENVIRONMENT.respond(ONE, turns(call))

    assert answered("<tool_call>7-12</tool_call>") == answered("<tool_call>sub(7,12)</tool_call>")
    assert answered("(1 of 1)<tool_call>7 - 12</tool_call>") == "-5"
    assert answered("<tool_call>7*12</tool_call>") == "error"
    assert answered("155") is None
    assert ENVIRONMENT.respond(SUM, turns("<tool_call>7-12</tool_call>")) is None


def test_every_word_of_the_domain_has_a_translation():
    assert set(SPANISH_WORDS) == set(WORDS)
    assert in_spanish("907") == "nueve cero siete"


def test_every_domain_has_several_conventions():
    kinds = {domain: {kind for kind, place in REWORDINGS if place == domain} for domain in DOMAINS}
    assert all(len(found) >= 5 for found in kinds.values())
    assert len({kind for kind, _ in REWORDINGS}) >= 6
