"""InstructGPT: the reward model ranks pairs, and PPO raises its score and the gold score alike."""

from benchmarks.recipes.claims.kinds import metric_below, ranks_pairs, rises
from benchmarks.recipes.claims.watched import keeps_text, rewarded

GOLD = ["helpful", "safe"]
NATS = 0.6
"""KL to RL-init of a token: 10 nats of an answer of about 17 tokens."""
CLAIMS = [
    ranks_pairs(least=0.7),
    *(rewarded(ppo, over="rl-init", model="rm", domains=GOLD) for ppo in ("ppo", "ppo-ptx")),
    *(rises(ppo, over="rl-init", domains=GOLD) for ppo in ("ppo", "ppo-ptx")),
    *(metric_below(ppo, "rl/mechanism/kl/bound", most=NATS) for ppo in ("ppo", "ppo-ptx")),
    # The gradient of pre-training text keeps what PPO alone loses.
    keeps_text("rl-init", beside="ppo"),
    keeps_text("ppo-ptx", beside="ppo"),
]
CHANGED = (
    "PPO's learning rate from 3e-4 to 1e-4: the gold score rose until step 8 of 30 and then fell, "
    "while the reward model's went on rising"
)
