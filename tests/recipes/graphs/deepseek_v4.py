"""DeepSeek-V4: experts from the base teach a student, and nothing comes after that.

Section 11 of the recipes. The student's start is ours, because the source does not state it.
"""

from tests.recipes.graphs import BASE, T, W

DOMAINS = ("add", "sort", "form")
EDGES = {
    *((BASE, f"{name}-sft", W) for name in DOMAINS),
    *((f"{name}-sft", f"{name}-expert", W) for name in DOMAINS),
    *((f"{name}-expert", "distilled", T) for name in DOMAINS),
    (BASE, "start", W),
    ("start", "distilled", W),
}
