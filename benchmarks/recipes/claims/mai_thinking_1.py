"""MAI-Thinking-1: one SFT on the traces of all climbs comes close to each of them."""

from benchmarks.recipes.claims.kinds import holds, ranks_pairs, rises

STEM, OPEN = ["add", "sort", "form"], ["helpful", "safe"]
CLAIMS = [
    ranks_pairs(least=0.6),
    rises("stem", over="mid", domains=STEM),
    rises("agent", over="mid", domains=["tool"]),
    rises("open", over="mid", domains=OPEN),
    holds("all", beside="stem", domains=STEM, margin=0.1),
    holds("all", beside="agent", domains=["tool"], margin=0.1),
    rises("light", over="all", domains=OPEN),
    holds("light", beside="all", domains=[*STEM, "tool"]),
    # not checked: the light RL without rehearsal, and traces of the last checkpoint alone, which
    # are other recipes
]
