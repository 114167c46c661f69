"""Nemotron 3 Super: mixed environments let no domain fall, and the last stage keeps the others."""

from benchmarks.recipes.claims.kinds import holds, rises

GRADED = ["add", "sort", "form", "tool"]
CLAIMS = [
    rises("rlvr-3", over="rows", domains=GRADED),
    *(holds("rlvr-3", beside="rows", domains=[name]) for name in (*GRADED, "helpful")),
    rises("swe-2", over="rlvr-3", domains=["tool"]),
    rises("rlhf", over="swe-2", domains=["helpful", "safe"]),
    holds("rlhf", beside="swe-2", domains=GRADED),
    # not checked: a run on one environment alone (mopd_baselines has a cascade), the RLHF without
    # its KL, and long inputs with short outputs, which the testbed lacks
]
