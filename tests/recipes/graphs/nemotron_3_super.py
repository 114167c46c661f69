"""Nemotron 3 Super: weights from stage to stage; a generative reward model scores four of them."""

from itertools import pairwise

from tests.recipes.graphs import BASE, RM, D, S, W

STAGES = (BASE, "tokens", "rows", "rlvr-1", "rlvr-2", "rlvr-3", "swe-1", "swe-2", "rlhf")
RLVR = ("rlvr-1", "rlvr-2", "rlvr-3")
EDGES = {
    *((one, other, W) for one, other in pairwise(STAGES)),
    *(("rows", stage, S) for stage in RLVR),  # its pass rates choose the prompts
    (BASE, RM, W),
    (BASE, RM, D),  # it learned verdicts on what the base wrote
    *((RM, stage, S) for stage in (*RLVR, "rlhf")),
}
