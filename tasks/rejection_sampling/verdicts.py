"""Demonstrations of a judge: what it is shown of a response, and the verdict of an annotator.

A model that is trained on them writes verdicts of its own (``tasks.scoring.judge``). The annotator
perceives the gold score with normal noise, and gives the number of the scale next to it. Pure.
"""

import random
from collections.abc import Sequence

from tasks.rejection_sampling.pools import refuse_unscored
from tasks.rejection_sampling.settings import VerdictSettings
from tasks.rollout.environment import Demonstration, Message, Turn
from tasks.rollout.responses import ScoredResponse
from tasks.scoring.judge import score_prompt, verdict_on


def verdicts(
    responses: Sequence[ScoredResponse], settings: VerdictSettings, seed: int
) -> list[Demonstration]:
    """Return a demonstration for each response, in order.

    Raises:
        RefusedError: ``no-responses``, ``unknown-scorer`` or ``missing-scores``.
    """
    refuse_unscored(responses, [settings.scorer])
    rng = random.Random(f"verdicts {seed}")
    rows = []
    for response in responses:
        perceived = response.scores[settings.scorer] + rng.gauss(0.0, settings.noise)
        shown = Message("user", score_prompt(response, settings.judging))
        verdict = Turn("assistant", verdict_on(perceived, settings.judging))
        rows.append(Demonstration((shown,), (verdict,), settings.judging.mode))
    return rows
