"""Llama 3: the second round is better than the first, though both start from the base."""

from benchmarks.recipes.claims.kinds import holds, ranks_pairs, rises

DOMAINS = ["helpful", "safe"]
CLAIMS = [
    ranks_pairs(least=0.6),
    rises("sft-1", over="base", domains=DOMAINS),
    rises("average-2", over="average-1", domains=DOMAINS),
    holds("average-2", beside="dpo-2-high", domains=DOMAINS),
    # not checked: random of K instead of best of K, and DPO without the NLL term or the mask,
    # which are other recipes
]
