"""Grades math, agent and instruct answers in any of several conventions.

A real grader accepts more than one way to write an answer, so two teams may settle on different
ones. Beside the demo's own form, this one accepts: a thought in parentheses before an answer or a
call, a mark at the end, other spaces, numbers and animals in Spanish, the equation turned round,
named functions of the calculator, and quotes or "OK: " around a repetition.
"""

import re
from collections.abc import Mapping, Sequence

from tasks.rollout.environment import Grade, Json, Prompt, Turn

SPANISH_DIGITS = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
SPANISH_WORDS = {
    **{"fox": "zorro", "owl": "buho", "cat": "gato", "dog": "perro", "hen": "gallina"},
    **{"cow": "vaca", "pig": "cerdo", "bee": "abeja", "ant": "hormiga", "elk": "alce"},
    **{"sun": "sol", "sky": "cielo", "sea": "mar", "oak": "roble", "ash": "fresno"},
    **{"elm": "olmo", "pen": "pluma", "cup": "taza", "hat": "gorro", "map": "mapa"},
    **{"car": "coche", "bus": "bus", "jam": "jalea", "tea": "te"},
}
FAILED = "error"
_THOUGHT = re.compile(r"^\([^()]*\)")
_CALL = re.compile(r"<tool_call>([0-9]{1,9}) ?([+-]) ?([0-9]{1,9})</tool_call>")
_NAMED = re.compile(r"<tool_call>(add|sub)\(([0-9]{1,9}),([0-9]{1,9})\)</tool_call>")


def in_spanish(number: str) -> str:
    """Return a number digit by digit: 85 is "ocho cinco"."""
    return " ".join(SPANISH_DIGITS[int(digit)] for digit in number)


def without_thought(said: str) -> str:
    """Return what follows a thought in parentheses, if there is one."""
    return _THOUGHT.sub("", said)


class Tolerant:
    """One grader for three domains; the prompt's id says which."""

    max_turns = 3

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """Answer a call of the agent; anything else ends the episode."""
        said = without_thought(turns[-1].content).strip()
        if not prompt.id.startswith("agent-") or "<tool_call>" not in said:
            return None
        if call := _CALL.fullmatch(said):
            first, sign, second = call.groups()
        elif call := _NAMED.fullmatch(said):
            sign, first, second = {"add": "+", "sub": "-"}[call[1]], call[2], call[3]
        else:
            return FAILED
        return str(int(first) + int(second) if sign == "+" else int(first) - int(second))

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for the right answer in one of the accepted forms."""
        domain = prompt.id.partition("-")[0]
        if domain == "agent" and all(t.role != "tool" or t.content == FAILED for t in turns):
            return Grade(0.0, "guessed: no call")
        if turns[-1].role == "tool":
            return Grade(0.0, "no answer")
        said = _plain(without_thought(turns[-1].content))
        accepted = {_plain(form) for form in _FORMS[domain](prompt)}
        return Grade(1.0) if said in accepted else Grade(0.0, "wrong, or in no accepted form")


def _plain(text: str) -> str:
    """Return a text without spaces."""
    return text.replace(" ", "")


def _of_math(prompt: Prompt) -> list[str]:
    question, answer = prompt.messages[-1].content, str(prompt.task["answer"])
    forms = [
        form
        for said in (answer, in_spanish(answer))
        for form in (said, f"{question}={said}", f"{said}={question}")
    ]
    return [f"{form}{end}" for form in forms for end in ("", ".")]


def _of_agent(prompt: Prompt) -> list[str]:
    answer = str(prompt.task["answer"])
    return [f"{said}{end}" for said in (answer, in_spanish(answer)) for end in ("", ".")]


def _of_instruct(prompt: Prompt) -> list[str]:
    task, question = prompt.task, str(prompt.task["question"])
    forms = [repetition(task, word) for word in {question, SPANISH_WORDS.get(question, question)}]
    return [form for said in forms for form in (said, f'"{said}"', f"OK: {said}", f"{said}*")]


def repetition(task: Mapping[str, Json], word: str) -> str:
    """Return a word as often and in such a form as an instruction wants it."""
    cased = word.upper() if task["case"] == "upper" else word.lower()
    return str(task["join"]).join([cased] * int(str(task["count"]))) + str(task["end"])


_FORMS = {"math": _of_math, "agent": _of_agent, "instruct": _of_instruct}
ENVIRONMENT = Tolerant()
