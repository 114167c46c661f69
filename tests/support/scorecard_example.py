"""Made-up outcomes that look like a real run: four domains, three controls, conflicts between."""

import random
from functools import cache

from tasks.evaluate.scorecard import Scorecard, make_scorecard
from tasks.evaluate.scores import Outcomes, PromptOutcome, ScorecardSettings

DOMAINS = ("math", "code", "agent", "instruct")
PROMPTS = 400

# method -> the share of prompts solved in each domain, in the order of DOMAINS
SOLVED = {
    "fork_point": (0.42, 0.36, 0.31, 0.48),
    "student": (0.90, 0.84, 0.87, 0.93),
    "parameter_average": (0.63, 0.52, 0.44, 0.66),
    "task_arithmetic": (0.71, 0.60, 0.58, 0.70),
    "off_policy_sft": (0.80, 0.74, 0.75, 0.86),
}
TEACHERS = {
    "math": (0.93, 0.12, 0.09, 0.35),
    "code": (0.18, 0.88, 0.15, 0.30),
    "agent": (0.05, 0.10, 0.92, 0.28),
    "instruct": (0.33, 0.25, 0.20, 0.94),
}


def example_outcomes(seed: int = 0, **solved: tuple[float, ...]) -> Outcomes:
    """Outcomes with the shares of SOLVED; ``solved`` replaces or adds methods."""
    # One difficulty for each prompt, shared by all methods, so that pairing has something to do.
    rng = random.Random(seed)
    difficulty = {domain: [rng.random() for _ in range(PROMPTS)] for domain in DOMAINS}

    def evaluate(share: float, domain: str) -> tuple[PromptOutcome, ...]:
        return tuple(
            _outcome(f"{domain}-{index:04}", float(rng.gauss(hard, 0.15) < share), rng)
            for index, hard in enumerate(difficulty[domain])
        )

    def row(shares: tuple[float, ...]) -> dict[str, tuple[PromptOutcome, ...]]:
        return {d: evaluate(share, d) for d, share in zip(DOMAINS, shares, strict=True)}

    return Outcomes(
        methods={name: row(shares) for name, shares in {**SOLVED, **solved}.items()},
        teachers={teacher: row(shares) for teacher, shares in TEACHERS.items()},
        settings=ScorecardSettings(temperature=0.7, samples=1, seed=seed, max_tokens=64),
    )


@cache  # of 14,400 outcomes, which many tests show
def example_scorecard(seed: int = 0, **solved: tuple[float, ...]) -> Scorecard:
    """The scorecard of ``example_outcomes``, with a bootstrap that is quick rather than fine."""
    return make_scorecard(example_outcomes(seed, **solved), resamples=200)


def _outcome(prompt: str, score: float, rng: random.Random) -> PromptOutcome:
    length = rng.randint(8, 40)
    return PromptOutcome(
        prompt=prompt, scores=(score,), lengths=(length,), truncated=(length > 39,)
    )
