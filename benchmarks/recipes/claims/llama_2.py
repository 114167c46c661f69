"""Llama 2: rounds of best-of-K raise both scores, and PPO goes on from there."""

from benchmarks.recipes.claims.kinds import extra, holds, ranks_pairs, rises
from benchmarks.recipes.claims.watched import rewarded, surer_of_clear_pairs

GOLD = ["helpful", "safe"]
CLAIMS = [
    extra(ranks_pairs(least=0.6)),
    surer_of_clear_pairs(),
    *(
        rewarded(f"version-{number}", over=before, model=f"{name}-{number}", domains=[name])
        for number, before in ((1, "sft"), (2, "version-1"))
        for name in GOLD
    ),
    rises("version-1", over="sft", domains=GOLD),
    holds("version-2", beside="version-1", domains=GOLD),
    extra(rises("ppo", over="version-2", domains=GOLD)),
]
NOT_CHECKED = (
    "the accuracy on the other domain's pairs; the gap of the best of K by K; a planted skill "
    "that the last round alone would lose"
)
CHANGED = (
    "PPO's learning rate from 3e-4 to 1e-4: the gold score rose until step 8 of 30 and then fell"
)
