"""DeepSeek-V3: experts hand on what they wrote, no weight; the last SFT starts from the base."""

from tests.recipes.graphs import BASE, D, W

EDGES = {
    *(
        edge
        for name in ("add", "sort", "form")
        for edge in (
            (BASE, f"{name}-sft", W),
            (f"{name}-sft", f"{name}-expert", W),
            (f"{name}-expert", "final", D),
        )
    ),
    (BASE, "final", W),
    ("final", "grpo", W),
}
