"""Nemotron 3 Ultra: the warm-up helps with the foreign teacher alone; round 2 is not worse."""

from benchmarks.recipes.claims.kinds import holds, rises

NEAR = ["add", "sort"]
CLAIMS = [
    rises("foreign-rl", over="rlvr", domains=["tool"]),
    rises("mopd-1", over="cold", domains=["tool"]),
    holds("mopd-1", beside="cold", domains=NEAR),
    rises("mopd-1", over="rlvr", domains=["tool"]),
    holds("mopd-2", beside="mopd-1", domains=["add"], margin=0.0),
]
NOT_CHECKED = "the share of each teacher's gain after each round, which is a ratio"
