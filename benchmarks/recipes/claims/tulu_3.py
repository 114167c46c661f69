"""Tülu 3: verified accuracy rises from SFT over DPO to RLVR, near the DPO checkpoint."""

from benchmarks.recipes.claims.kinds import drifts_less_than, holds, metric_rises, rises

VERIFIED = ["add", "form"]
CLAIMS = [
    rises("dpo", over="sft", domains=["add", "form", "helpful", "safe"]),
    rises("rlvr", over="dpo", domains=VERIFIED),
    metric_rises("rlvr", "rl/reward"),
    holds("rlvr", beside="dpo", domains=["helpful", "safe"], margin=0.1),
    drifts_less_than(1.0),
    # not checked: a random start of the value network, and a reward model's score in the reward,
    # which are other recipes
]
