"""Composer: a hint on the turn with the mistake halves it, and costs no success."""

from benchmarks.recipes.claims.kinds import holds, metric_cut, rises

MISTAKES = "rl/mechanism/hinted/bound"
"""Share of the sampled tokens in turns with the mistake; the random control hints as many turns."""
CLAIMS = [
    rises("rl", over="sft", domains=["tool"]),
    holds("rl", beside="rl-alone", domains=["tool", "form"]),
    metric_cut("rl", MISTAKES, of="rl-alone"),
    metric_cut("rl", MISTAKES, of="rl-random"),
]
NOT_CHECKED = "that best-of-K rises with the average, which the card does not hold"
