"""Tülu 3: verified accuracy rises from SFT over DPO to RLVR, near the DPO checkpoint."""

from benchmarks.recipes.claims.kinds import drifts_less_than, extra, holds, metric_rises, rises

VERIFIED = ["add", "form"]
CLAIMS = [
    extra(rises("dpo", over="sft", domains=["add", "form", "helpful", "safe"])),
    rises("rlvr", over="dpo", domains=VERIFIED),
    metric_rises("rlvr", "rl/reward"),
    extra(holds("rlvr", beside="dpo", domains=["helpful", "safe"], margin=0.1)),
    drifts_less_than(1.0),
]
NOT_CHECKED = "a random start of the value network; a reward model's score in the reward"
