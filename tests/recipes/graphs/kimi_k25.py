"""Kimi K2.5: weights from a base of text and images to the joint RL; visual RL writes traces.

The prompts of the joint RL, with Toggle and without, are chosen by the pass rates of its start.
"""

from tests.recipes.graphs import BASE, D, S, W

EDGES = {
    (BASE, "sft", W),  # the base that sees, not the testbed's
    ("sft", "visual", W),
    ("visual", "rft", W),
    ("visual", "rft", D),
    *(("rft", stage, kind) for stage in ("joint", "untoggled") for kind in (W, S)),
}
