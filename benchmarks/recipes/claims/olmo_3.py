"""OLMo 3: a pair of a strong and a weak generator teaches, and RL goes on from there."""

from benchmarks.recipes.claims.kinds import extra, holds, rises

DOMAINS = ["add", "sort", "form"]
CLAIMS = [
    rises("dpo", over="soup", domains=DOMAINS),
    rises("rl", over="dpo", domains=DOMAINS),
    extra(holds("soup", beside="high", domains=DOMAINS)),
    extra(holds("soup", beside="low", domains=DOMAINS)),
]
NOT_CHECKED = "SFT on the chosen side alone; RL from the SFT checkpoint"
CHANGED = "DPO's learning rate from 1e-4 to 4e-4: at 1e-4 the policy hardly moved"
