"""Nemotron 3 Ultra: three origins of teachers, a warm-up, two rounds, one teacher refreshed.

Section 14 of the recipes. ``cold`` is ours: the first round without the warm-up.
"""

from tests.recipes.graphs import BASE, T, W

FIRST = ("near", "general", "foreign-rl")
EDGES = {
    (BASE, "sft", W),
    ("sft", "rlvr", W),
    (BASE, "foreign", W),
    ("foreign", "foreign-rl", W),
    ("rlvr", "near", W),
    ("sft", "general", W),
    ("rlvr", "cold", W),
    ("rlvr", "warm-up", W),
    ("warm-up", "mopd-1", W),
    *((name, stage, T) for name in FIRST for stage in ("cold", "mopd-1")),
    ("mopd-1", "near-again", W),
    ("mopd-1", "mopd-2", W),
    *((name, "mopd-2", T) for name in ("near-again", "general", "foreign-rl")),
}
