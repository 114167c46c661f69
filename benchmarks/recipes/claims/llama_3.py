"""Llama 3: the second round is better than the first, though both start from the base."""

from benchmarks.recipes.claims.kinds import extra, holds, ranks_pairs, rises

DOMAINS = ["helpful", "safe"]
CLAIMS = [
    extra(ranks_pairs(least=0.6)),
    extra(rises("sft-1", over="base", domains=DOMAINS)),
    rises("average-2", over="average-1", domains=DOMAINS),
    extra(holds("average-2", beside="dpo-2-high", domains=DOMAINS)),
]
NOT_CHECKED = "random of K instead of best of K; DPO without the NLL term, and without the mask"
