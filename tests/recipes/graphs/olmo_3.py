"""OLMo 3: two models write the pairs, no judge compares them, DPO's pass rates choose prompts."""

from tests.recipes.graphs import BASE, D, K, S, W

EDGES = {
    (BASE, "strong", W),
    (BASE, "high", W),
    (BASE, "low", W),
    (BASE, "soup", W),
    ("high", "soup", W),
    ("low", "soup", W),
    ("strong", "dpo", D),
    (BASE, "dpo", D),
    ("soup", "dpo", W),
    ("soup", "dpo", K),
    ("dpo", "rl", W),
    ("dpo", "rl", S),
}
