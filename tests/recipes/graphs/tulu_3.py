"""Tülu 3: weights all the way; the reward model starts a value network, and scores nothing."""

from tests.recipes.graphs import BASE, RM, D, K, V, W

EDGES = {
    (BASE, "sft", W),
    ("sft", "dpo", W),
    ("sft", "dpo", K),
    ("dpo", "rlvr", W),
    ("dpo", "rlvr", K),
    *((writer, learner, D) for writer in ("sft", BASE) for learner in ("dpo", RM)),
    ("sft", RM, W),
    (RM, "rlvr", V),
}
