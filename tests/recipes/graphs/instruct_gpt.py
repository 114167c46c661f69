"""InstructGPT: PPO starts from RL-init; the SFT model only writes what is ranked."""

from tests.recipes.graphs import BASE, RM, D, K, S, V, W

EDGES = {
    (BASE, "sft", W),
    (BASE, RM, W),
    ("sft", RM, D),
    (BASE, "rl-init", W),
    *(
        edge
        for ppo in ("ppo", "ppo-ptx")
        for edge in (
            ("rl-init", ppo, W),
            ("rl-init", ppo, K),
            (RM, ppo, S),
            (RM, ppo, V),
        )
    ),
}
