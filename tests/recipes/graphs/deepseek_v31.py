"""DeepSeek-V3.1 has no report; as in its neighbors, a thinker hands on data alone."""

from tests.recipes.graphs import BASE, D, W

EDGES = {
    (BASE, "thinker", W),
    ("thinker", "sft", D),
    (BASE, "sft", W),
    ("sft", "rl", W),
}
