"""DeepSeek-R1: RL's answers carry over as data, to the base again and to a smaller model."""

from benchmarks.recipes.claims.kinds import extra, holds, rises

REASONING = ["add", "sort", "form"]
CLAIMS = [
    rises("zero", over="base", domains=REASONING),
    holds("dev2", beside="dev1", domains=REASONING, margin=0.1),
    extra(rises("dev2", over="dev1", domains=REASONING)),
    holds("dev3", beside="dev2", domains=REASONING, margin=0.1),
    holds("dev3", beside="dev2", domains=["helpful", "safe"]),
    extra(rises("r1", over="dev3", domains=REASONING)),
    rises("distilled", over="small", domains=REASONING),
]
NOT_CHECKED = (
    "the rate of mixed language; RL of the smaller model at equal computation; preference "
    "rewards from the first step"
)
CHANGED = (
    "the language reward weighs 0.1 (in sort it rewarded words that the answer may not have), "
    "the RL stages' rate is 3e-4 instead of 5e-4, and the smaller model learns for 400 steps "
    "instead of 100"
)
