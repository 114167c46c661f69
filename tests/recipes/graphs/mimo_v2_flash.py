"""MiMo-V2-Flash: teachers and student from one SFT checkpoint, which teaches one domain itself."""

from tests.recipes.graphs import BASE, T, W

EXPERTS = ("add-teacher", "sort-teacher")
EDGES = {
    (BASE, "sft", W),
    *(("sft", name, W) for name in EXPERTS),
    ("sft", "mopd", W),
    ("sft", "mopd", T),
    *((name, "mopd", T) for name in EXPERTS),
}
