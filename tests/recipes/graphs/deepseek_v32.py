"""DeepSeek-V3.2: specialists from the base hand on what they wrote; then one mixed RL."""

from tests.recipes.graphs import BASE, D, W

EDGES = {
    *(
        edge
        for name in ("add", "sort", "form", "tool")
        for edge in (
            (BASE, f"{name}-specialist", W),
            (f"{name}-specialist", "distilled", D),
        )
    ),
    (BASE, "distilled", W),
    ("distilled", "mixed", W),
}
