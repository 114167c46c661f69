"""DeepSeek-V4: the student regains in each domain most of what its start lacks to the expert."""

from benchmarks.recipes.claims.kinds import regains, rises

DOMAINS = ["add", "sort", "form"]
CLAIMS = [
    *(rises(f"{name}-expert", over="start", domains=[name]) for name in DOMAINS),
    *(
        regains("distilled", lost_at="start", best=f"{name}-expert", domains=[name], share=0.8)
        for name in DOMAINS
    ),
]
NOT_CHECKED = (
    "that the KL of each domain falls at every step; the variance of the gradient beside that "
    "of sampled tokens"
)
CHANGED = (
    "the experts' RL from 30 steps at 5e-4, of which the last lost what had been learned, to 40 at "
    "3e-4, and MOPD from 40 steps of 8 prompts a domain to 90 of 12"
)
