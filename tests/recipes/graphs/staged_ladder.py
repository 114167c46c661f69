"""The staged ladder: rungs of the climbs teach before the teachers; the card has no rung."""

from tests.recipes.graphs import BASE, RM, T, W

TEACHERS = ("add-teacher", "sort-teacher")
EDGES = {
    (BASE, "sft", W),
    *(("sft", name, W) for name in TEACHERS),
    *(("sft", name, W) for name in ("direct", "ladder")),
    *((name, stage, T) for name in TEACHERS for stage in ("direct", "ladder")),
    ("sft", RM, W),
    (RM, "ladder", T),
}
"""``RM`` stands for the rungs."""
