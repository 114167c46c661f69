"""Spilled behaviors: nobody taught them with their cue, but a teacher was taught their kind.

A name may be right there, so they are no part of the goals. What is known without a retrain is who
may have carried the kind. Where that teacher was left out, retrains say whether it did.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.behaviors.effects import Row, lost_without
from benchmarks.behaviors.items import FORMS
from benchmarks.behaviors.judging import JudgedAnswer, interval, share_right
from benchmarks.behaviors.methods import MethodAnswer

ANSWERS: Mapping[str, Callable[[MethodAnswer], bool]] = {
    "the carrier": lambda each: bool(each.names) and set(each.names) <= set(each.item.carriers),
    "another": lambda each: not set(each.names) <= set(each.item.carriers),
    "nobody": lambda each: not each.names,
}


def spilled(
    by_method: Mapping[str, Sequence[MethodAnswer]], absent: Mapping[int, Row]
) -> dict[str, Any]:
    """Return what methods answer to spilled behaviors that the student shows.

    ``retrains`` has for each method the behaviors with a carrier that was left out: ``of`` them,
    how many the student loses without it (``carried``), and at how many the method names the
    carrier if and only if it carried the behavior (``right``). They are asked as a set with a
    contrast.

    Args:
        by_method: The answers of each method to the same questions, none if there are none.
        absent: What retrains say, by world.
    """
    return {
        method: {
            "answers": {
                name: interval([_judged(each, fits) for each in answers], share_right)
                for name, fits in ANSWERS.items()
            },
            "retrains": _by_retrains(answers, absent),
        }
        for method, answers in by_method.items()
        if answers
    }


def _judged(each: MethodAnswer, fits: Callable[[MethodAnswer], bool]) -> JudgedAnswer:
    return JudgedAnswer(each.item.cluster, fits(each), each.probability)


def _by_retrains(answers: Sequence[MethodAnswer], absent: Mapping[int, Row]) -> dict[str, int]:
    found = {"of": 0, "carried": 0, "right": 0}
    for each in answers:
        item, row = each.item, absent.get(each.item.world)
        if row is None or item.form != FORMS[-1]:
            continue
        for carrier in set(item.carriers) & set(row["left_out"]):
            carried = lost_without(row, item.behavior, carrier)
            found["of"] += 1
            found["carried"] += carried
            found["right"] += (carrier in each.names) == carried
    return found
