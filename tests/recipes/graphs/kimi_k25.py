"""Kimi K2.5: weights from a base of text and images to the joint RL; visual RL writes traces."""

from tests.recipes.graphs import BASE, D, W

EDGES = {
    (BASE, "sft", W),  # the base that sees, not the testbed's
    ("sft", "visual", W),
    ("visual", "rft", W),
    ("visual", "rft", D),
    ("rft", "joint", W),
}
