"""DeepSeek-V4: the student regains in each domain most of what its start lacks to the expert."""

from benchmarks.recipes.claims.kinds import regains, rises

DOMAINS = ["add", "sort", "form"]
CLAIMS = [
    *(rises(f"{name}-expert", over="start", domains=[name]) for name in DOMAINS),
    *(
        regains("distilled", lost_at="start", best=f"{name}-expert", domains=[name], share=0.8)
        for name in DOMAINS
    ),
    # not checked: the KL of each domain falls, and the variance of the gradient is below that of
    # sampled tokens: a metric has its domain's name in no kind of claim, and a variance takes two
    # losses on one batch
]
