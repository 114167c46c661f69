"""Nemotron 3 Super: mixed environments let no domain fall, and the last stage keeps the others."""

from benchmarks.recipes.claims.kinds import extra, holds, rises

GRADED = ["add", "sort", "form", "tool"]
CLAIMS = [
    rises("rlvr-3", over="rows", domains=GRADED),
    *(holds("rlvr-3", beside="rows", domains=[name]) for name in (*GRADED, "helpful")),
    extra(rises("swe-2", over="rlvr-3", domains=["tool"])),
    rises("rlhf", over="swe-2", domains=["helpful", "safe"]),
    holds("rlhf", beside="swe-2", domains=GRADED),
]
NOT_CHECKED = (
    "RL on one environment alone; the RLHF without its KL; long inputs with short outputs, "
    "which the testbed lacks"
)
