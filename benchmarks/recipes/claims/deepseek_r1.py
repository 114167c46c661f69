"""DeepSeek-R1: RL's answers carry over as data, to the base again and to a smaller model."""

from benchmarks.recipes.claims.kinds import holds, rises

REASONING = ["add", "sort", "form"]
CLAIMS = [
    rises("zero", over="base", domains=REASONING),
    rises("dev2", over="dev1", domains=REASONING),
    holds("dev3", beside="dev2", domains=REASONING, margin=0.1),
    holds("dev3", beside="dev2", domains=["helpful", "safe"]),
    rises("r1", over="dev3", domains=REASONING),
    rises("distilled", over="small", domains=REASONING),
    # not checked: the rate of mixed language, which is no score of a domain; RL of the smaller
    # model at equal computation, and preference rewards from the first step, which are other runs
]
CHANGED = (
    "the language reward weighs 0.1 (in sort it rewarded words that the answer may not have), "
    "the RL stages' rate is 3e-4 instead of 5e-4, and the smaller model learns for 400 steps "
    "instead of 100"
)
