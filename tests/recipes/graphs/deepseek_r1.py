"""DeepSeek-R1: R1-Zero and Dev2 hand on data only; the base is trained three times anew."""

from tests.recipes.graphs import BASE, RM, D, S, W

EDGES = {
    (BASE, "zero", W),
    ("zero", "dev1", D),
    (BASE, "dev1", W),
    ("dev1", "dev2", W),
    ("dev2", "dev3", D),
    (BASE, "dev3", W),
    ("dev3", "r1", W),
    (RM, "r1", S),
    # The pairs of the reward models are answers of the base (of V3 in the source).
    (BASE, RM, W),
    (BASE, RM, D),
    # A smaller model of another family learns the same data, by SFT alone.
    ("dev2", "distilled", D),
    ("small", "distilled", W),
}
