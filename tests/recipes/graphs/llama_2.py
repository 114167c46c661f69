"""Llama 2: each version starts from the base again; PPO alone goes on from the version before."""

from tests.recipes.graphs import BASE, RM, D, K, S, W

CHATS = ("sft", "version-1")
"""What each round samples from: the newest version before it."""
EDGES = {
    (BASE, "sft", W),
    # Reward models start from the newest chat model, and learn from all comparisons so far.
    *((chat, RM, what) for chat in CHATS for what in (W, D)),
    *(
        edge
        for version in ("version-1", "version-2")
        for edge in ((BASE, version, W), (RM, version, S))
    ),
    # The best answers of the first round stay in the second.
    ("sft", "version-1", D),
    *((chat, "version-2", D) for chat in CHATS),
    ("version-2", "ppo", W),
    ("version-2", "ppo", K),
    (RM, "ppo", S),
}
