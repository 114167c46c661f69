"""MAI-Thinking-1: one SFT on the traces of all climbs comes close to each of them."""

from benchmarks.recipes.claims.kinds import extra, holds, ranks_pairs, rises

STEM, OPEN = ["add", "sort", "form"], ["helpful", "safe"]
CLAIMS = [
    extra(ranks_pairs(least=0.6)),
    rises("stem", over="mid", domains=STEM),
    rises("agent", over="mid", domains=["tool"]),
    rises("open", over="mid", domains=OPEN),
    holds("all", beside="stem", domains=STEM, margin=0.1),
    holds("all", beside="agent", domains=["tool"], margin=0.1),
    rises("light", over="all", domains=OPEN),
    holds("light", beside="all", domains=[*STEM, "tool"]),
]
NOT_CHECKED = "the light RL without rehearsal; traces of the last checkpoint alone"
CHANGED = (
    "the climbs from 4 prompts of a domain at 5e-4 to 8 at 2e-4, which SFT on right answers had "
    "left little room; RL by the reward model at 1e-4, and that model from comparisons on all "
    "prompts instead of 200"
)
