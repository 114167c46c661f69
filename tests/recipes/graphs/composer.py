"""Composer: weights from stage to stage, and two controls of the RL from the same start."""

from tests.recipes.graphs import BASE, W

EDGES = {
    (BASE, "mid", W),
    ("mid", "sft", W),
    *(("sft", stage, W) for stage in ("rl-alone", "rl-random", "rl")),
}
