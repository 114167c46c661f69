"""Right answers in other conventions, each accepted by the domain's grader here.

None of them is among those that the gate was calibrated on. Each function gets a prompt and the
turns of a right answer, and returns the turns of the same answer in the other convention.
"""

import re
from collections.abc import Callable, Sequence

from benchmarks.gate.fresh.grader.environment import SPANISH_WORDS, in_spanish, repetition
from tasks.rollout.environment import Prompt, Turn

END_MARK, SPACED, THINKS, SPANISH = "end mark", "spaced", "thinks first", "in Spanish"
ALONE, TURNED = "answer alone", "turned round"
TWO_LINES, DEFAULT = "two lines", "default argument"
OTHER_TOOL, TWICE = "other tool", "checked twice"
QUOTED, LEAD_IN = "quoted", "lead-in"

Turns = Sequence[Turn]
Rewording = Callable[[Prompt, Turns], list[Turn]]


def _each(change: Callable[[Prompt, str], str]) -> Rewording:
    """Return a rewording of every turn of the model's."""

    def reworded(prompt: Prompt, turns: Turns) -> list[Turn]:
        return [
            Turn(turn.role, change(prompt, turn.content)) if turn.role == "assistant" else turn
            for turn in turns
        ]

    return reworded


def _call(change: Callable[[str, str, str], str]) -> Rewording:
    """Return a rewording of the agent's calls; ``change`` gets number, sign, number."""

    def reworded(_prompt: Prompt, said: str) -> str:
        found = re.fullmatch(r"<tool_call>(\d+)([+-])(\d+)</tool_call>", said.strip())
        return f"<tool_call>{change(*found.groups())}</tool_call>" if found else said

    return _each(reworded)


def _final(change: Callable[[str], str]) -> Rewording:
    """Return a rewording of the agent's last turn."""
    return _each(lambda _prompt, said: said if "<tool_call>" in said else change(said))


def _body(program: str) -> str:
    return program.rpartition("return ")[2]


def _wide(text: str) -> str:
    return re.sub(r"([=+-])", r" \1 ", text)


def _equation(form: str) -> Rewording:
    """Return a rewording of a math answer; ``form`` is filled with question and answer."""

    def reworded(prompt: Prompt, _said: str) -> str:
        answer = str(prompt.task["answer"])
        parts = {"answer": answer, "spanish": in_spanish(answer)}
        return form.format(question=prompt.messages[-1].content, **parts)

    return _each(reworded)


def _working(prompt: Prompt, said: str) -> str:
    """Think column by column: (7+8=15,3+4+1=8)37+48=85."""
    question = prompt.messages[-1].content
    first, sign, second = re.split("([+-])", question)
    (tens, ones), (other_tens, other_ones) = (divmod(int(n), 10) for n in (first, second))
    units = ones + other_ones if sign == "+" else ones - other_ones
    carry = 1 if units > 9 or units < 0 else 0
    if units < 0:
        units += 10
    rest = tens + other_tens + carry if sign == "+" else tens - other_tens - carry
    carried = f"{sign}{carry}" if carry else ""
    return f"({ones}{sign}{other_ones}={units},{tens}{sign}{other_tens}{carried}={rest}){said}"


def _with_numbers(prompt: Prompt, said: str) -> str:
    """Repeat in a comment what the program is made of."""
    tests = prompt.task["tests"]
    assert isinstance(tests, list)
    first = tests[0]
    assert isinstance(first, list)
    return f"#{prompt.messages[-1].content} x={first[0]}\n{said}"


def _with_plan(prompt: Prompt, turns: Turns) -> list[Turn]:
    """Count the calls: (1 of 2)<tool_call>."""
    calls = len(re.findall("[+-]", prompt.messages[-1].content))
    found, place = list[Turn](), 0
    for turn in turns:
        is_call = turn.role == "assistant" and "<tool_call>" in turn.content
        place += is_call
        thought = f"({place} of {calls})" if is_call else ""
        found.append(Turn(turn.role, f"{thought}{turn.content}"))
    return found


def _with_instruction(prompt: Prompt, said: str) -> str:
    task = prompt.task
    return f"({task['count']} {task['case']} {task['join']} {task['end']}){said}"


def _wide_repetition(prompt: Prompt, said: str) -> str:
    task = prompt.task
    join, end = f" {task['join']} ", f" {task['end']}"
    return repetition({**task, "join": join, "end": end}, str(task["question"]))


def _translated(prompt: Prompt, said: str) -> str:
    question = str(prompt.task["question"])
    return repetition(prompt.task, SPANISH_WORDS.get(question, question))


def _twice(_prompt: Prompt, turns: Turns) -> list[Turn]:
    """Make a single call again before the answer; an answer of two calls has no turn left."""
    calls = [turn for turn in turns if turn.role == "tool"]
    return [*turns[:2], *turns[:2], *turns[2:]] if len(calls) == 1 else list(turns)


def _with_default(_prompt: Prompt, said: str) -> str:
    """Make the number a default argument: def f(x,k=17):return x+k."""
    body = _body(said)
    number = re.search(r"\d+", body)
    if not said.startswith("def f(x):return ") or number is None:
        return said
    return f"def f(x,k={number[0]}):return {body.replace(number[0], 'k', 1)}"


REWORDINGS: dict[tuple[str, str], Rewording] = {
    (END_MARK, "math"): _equation("{question}={answer}."),
    (END_MARK, "code"): _each(lambda _prompt, said: f"{said};"),
    (END_MARK, "agent"): _final(lambda said: f"{said}."),
    (END_MARK, "instruct"): _each(lambda _prompt, said: f"{said}*"),
    (SPACED, "math"): _each(lambda _prompt, said: _wide(said)),
    (SPACED, "code"): _each(lambda _prompt, said: f"def f(x): return {_wide(_body(said))}"),
    (SPACED, "agent"): _call(lambda first, sign, second: f"{first} {sign} {second}"),
    (SPACED, "instruct"): _each(_wide_repetition),
    (THINKS, "math"): _each(_working),
    (THINKS, "code"): _each(_with_numbers),
    (THINKS, "agent"): _with_plan,
    (THINKS, "instruct"): _each(_with_instruction),
    (SPANISH, "math"): _equation("{question}={spanish}"),
    (SPANISH, "agent"): _final(in_spanish),
    (SPANISH, "instruct"): _each(_translated),
    (ALONE, "math"): _equation("{answer}"),
    (TURNED, "math"): _equation("{answer}={question}"),
    (TURNED, "agent"): _call(
        lambda first, sign, second: f"{second}+{first}" if sign == "+" else f"{first}-{second}"
    ),
    (TWO_LINES, "code"): _each(lambda _prompt, said: f"def f(x):\n y={_body(said)}\n return y"),
    (DEFAULT, "code"): _each(_with_default),
    (OTHER_TOOL, "agent"): _call(
        lambda first, sign, second: f"{'add' if sign == '+' else 'sub'}({first},{second})"
    ),
    (TWICE, "agent"): _twice,
    (QUOTED, "instruct"): _each(lambda _prompt, said: f'"{said}"'),
    (LEAD_IN, "instruct"): _each(lambda _prompt, said: f"OK: {said}"),
}
"""By kind and domain."""
LONGER = {SPACED, THINKS, SPANISH, TWO_LINES}
"""Kinds with answers that may take more than the demo's 24 tokens."""
