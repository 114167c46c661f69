"""GLM-5: general RL forgets reasoning, and the earlier checkpoint gives half of it back."""

from benchmarks.recipes.claims.kinds import falls, holds, regains, rises

CLAIMS = [
    rises("reasoning", over="sft", domains=["add"]),
    falls("general", below="reasoning", domains=["add"]),
    regains("distilled", lost_at="general", best="reasoning", domains=["add"]),
    holds("distilled", beside="general", domains=["form"]),
]
