"""A simulated annotator: comparisons with a known truth and known noise.

The gold preference is a score that the responses already have, such as the environment's grade. The
annotator perceives each response's score with Gumbel noise of a temperature T and ranks by that. So
the first of two responses wins with the probability of Bradley and Terry, sigmoid((s1 - s2) / T),
and a ranking of K is one of Plackett and Luce. All pairs of a ranking are compared, and the
strength of a pair is read from the perceived difference. At last, a share of the pairs is flipped.
Pure, and repeatable from the seed.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest

from pydantic import BaseModel, ConfigDict, Field

from tasks.contracts.refusal import RefusedError
from tasks.rejection_sampling.pairs import StrengthCuts, pair_of
from tasks.rejection_sampling.pools import by_prompt, refuse_unscored
from tasks.rollout.responses import GRADE, PreferencePair, ScoredResponse


class AnnotatorSettings(BaseModel):
    """What the annotator prefers, and how noisy it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scorer: str = GRADE
    """Name of the gold score."""
    temperature: float = Field(default=0.25, ge=0)
    """Noise of the choice in units of the score; 0 always prefers the better response."""
    indifference: float = Field(default=0.0, ge=0)
    """Largest perceived difference that is a tie, which is dropped. Without it, noise decides
    between two responses of equal gold score."""
    flip_rate: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of pairs with chosen and rejected exchanged."""
    cuts: StrengthCuts = StrengthCuts()
    """Strength labels by the perceived difference."""
    ranking_size: int = Field(default=2, ge=2)
    """Number of responses to one prompt that are ranked together (K)."""
    across_samplers: bool = False
    """Whether only responses of different samplers are compared (Llama 3, 2407.21783)."""

    @property
    def source(self) -> str:
        """What made the comparison, as the pairs name it."""
        return f"annotator of {self.scorer}"


@dataclass(frozen=True)
class Annotated:
    """Comparisons, and how often they contradict the gold score."""

    pairs: list[PreferencePair]
    counts: dict[str, int]
    """Number of pairs: selected, ties (dropped), flipped, wrong by the gold score, equal by it; and
    of prompts with fewer than two responses."""


def annotate(
    responses: Sequence[ScoredResponse], settings: AnnotatorSettings, seed: int
) -> Annotated:
    """Return all pairs of rankings of ``ranking_size`` responses, prompt by prompt.

    A prompt's responses are dealt into rankings at random. The last ranking may be shorter.

    Raises:
        RefusedError: ``no-responses``, ``unknown-scorer``, ``missing-scores``,
            ``too-few-responses`` or ``only-ties``.
    """
    refuse_unscored(responses, [settings.scorer])
    pools = by_prompt(responses)
    pairs: list[PreferencePair] = []
    names = ("selected", "ties", "flipped", "wrong", "equal", "prompts_without_pair")
    counts = dict.fromkeys(names, 0)
    for key, pool in pools.items():
        rng = random.Random(f"{seed} {key}")
        counts["prompts_without_pair"] += len(pool) < 2
        for first, other, perceived in _compared(pool, settings, rng):
            same = first.turns == other.turns  # noise would tell equal words apart
            if same or abs(perceived) <= settings.indifference:
                counts["ties"] += 1
                continue
            is_flipped = rng.random() < settings.flip_rate
            chosen, rejected = (first, other) if (perceived > 0) != is_flipped else (other, first)
            gold = chosen.scores[settings.scorer] - rejected.scores[settings.scorer]
            counts["flipped"] += is_flipped
            counts["wrong"] += gold < 0
            counts["equal"] += gold == 0
            strength = settings.cuts.strength(abs(perceived))
            pairs.append(pair_of(chosen, rejected, strength, settings.source))
    counts["selected"] = len(pairs)
    if not pairs:
        _refuse(counts["ties"], len(pools), settings.scorer)
    return Annotated(pairs, counts)


def _compared(
    pool: Sequence[ScoredResponse], settings: AnnotatorSettings, rng: random.Random
) -> Iterator[tuple[ScoredResponse, ScoredResponse, float]]:
    """Yield two responses and the perceived difference of their scores."""
    dealt = _dealt(pool, settings, rng)
    perceived = [
        response.scores[settings.scorer] + settings.temperature * _gumbel(rng) for response in dealt
    ]
    for start in range(0, len(dealt), settings.ranking_size):
        places = range(start, min(start + settings.ranking_size, len(dealt)))
        for one, other in combinations(places, 2):
            if settings.across_samplers and dealt[one].sampler == dealt[other].sampler:
                continue
            yield dealt[one], dealt[other], perceived[one] - perceived[other]


def _dealt(
    pool: Sequence[ScoredResponse], settings: AnnotatorSettings, rng: random.Random
) -> list[ScoredResponse]:
    """Return a prompt's responses in random order, in turn by sampler if they are compared so."""
    dealt = rng.sample(list(pool), len(pool))
    if not settings.across_samplers:
        return dealt
    queues: dict[str, list[ScoredResponse]] = {}
    for response in dealt:
        queues.setdefault(response.sampler, []).append(response)
    turns = zip_longest(*queues.values())
    return [response for turn in turns for response in turn if response is not None]


def _gumbel(rng: random.Random) -> float:
    """Return a draw of the standard Gumbel distribution."""
    return -math.log(-math.log(rng.uniform(1e-300, 1.0 - 2**-53)))


def _refuse(num_ties: int, num_prompts: int, scorer: str) -> None:
    if num_ties:
        raise RefusedError(
            "only-ties",
            f"all {num_ties} pairs are ties by {scorer!r}: sample more responses per prompt, set a "
            "temperature above 0, or take a finer gold score",
        )
    raise RefusedError(
        "too-few-responses",
        f"none of {num_prompts} prompts has two responses to compare: sample at least two per "
        "prompt, and of two checkpoints to compare across samplers",
    )
