"""Teachers that answer as well in another convention, which the domain's grader takes as well.

Such a teacher comes from a team that trained on its own traces: no student of the shared fork point
ever says what it says, and it finds all of the student's answers, the right ones too, unlikely.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from benchmarks.gate.mismatch import Family, rows_of, saved, stored_step, traces_of, train
from lineage.artifacts import Artifact
from tasks.contracts.handover import PlannedTeacher
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import load_policy
from tasks.rollout.collect import Rollout
from tasks.sft.settings import SftSettings

LAMBDA, LETTER, TURNED = "as lambda", "other letter", "turned sum"
PADDED, INDENTED = "padded call", "indented call"
CONVENTIONS = (LAMBDA, LETTER, TURNED, PADDED, INDENTED)
RUNGS = (20, 40, 90)
"""Steps from one rung to the next; the last is the teacher."""
BATCH = 32
RATE = 1e-3


def reworded(text: str, convention: str) -> str:
    """Return one turn of the model's in another convention; it means the same.

    ``def f(x):return x-17`` becomes ``f=lambda x:x-17``, ``def f(a):return a-17`` or
    ``def f(x):return -17+x``; the call ``12+5`` becomes ``00012+00005``, or gets a leading space.
    """
    body = text.rpartition("return ")[2]
    if convention == LAMBDA:
        return f"f=lambda x:{body}"
    if convention == LETTER:
        return f"def f(a):return {body.replace('x', 'a')}"
    if convention == TURNED:
        left, sign, right = re.split("([+-])", body, maxsplit=1)
        return f"def f(x):return {'-' if sign == '-' else ''}{right}+{left}"
    if "<tool_call>" not in text:
        return text
    if convention == PADDED:
        return re.sub("[0-9]+", lambda number: number[0].zfill(5), text)
    return f" {text}"


def conventional(
    family: Family, start: Artifact, teacher: PlannedTeacher, convention: str, share: float
) -> list[Artifact]:
    """Bring ``start`` to the teacher's answers, ``share`` of them reworded; return all rungs."""

    def rung(before: Artifact, place: int) -> Artifact:
        settings = SftSettings(
            num_steps=RUNGS[place], batch_size=BATCH, learning_rate=RATE, warmup_steps=10
        )

        def make(folder: Path) -> Path:
            policy = load_policy(family.runner.store.tree(before.digest))
            answers = traces_of(family, teacher)
            count = round(share * len(answers))
            chat = ChatTokens(policy.tokenizer)
            rows = [*_reworded(chat, answers[:count], convention), *rows_of(answers[count:])]
            train(policy, rows, settings, 5 + place)
            return saved(folder, policy)

        told: dict[str, JsonValue] = {
            "mismatch": convention,
            "domain": teacher.domain,
            "share": share,
            "sft": settings.model_dump(mode="json"),
        }
        return stored_step(family, (before, teacher.checkpoint), told, make)

    rungs = [start]
    for place in range(len(RUNGS)):
        rungs.append(rung(rungs[-1], place))
    return rungs[1:]


def _reworded(chat: ChatTokens, answers: Sequence[Rollout], convention: str) -> list[Tokens]:
    return [
        chat.demonstration(
            [vars(message) for message in answer.prompt.messages],
            [
                (turn.role, reworded(turn.content, convention))
                if turn.role == "assistant"
                else (turn.role, turn.content)
                for turn in answer.turns
            ],
            answer.prompt.mode,
        )
        for answer in answers
    ]
