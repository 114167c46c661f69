"""MAI-Thinking-1: data at every consolidation, each from the mid-trained base; then weights."""

from tests.recipes.graphs import BASE, RM, D, S, W

LATE = ("stem-first", "stem-first-before-1")
CLIMBS = ("stem", "agent", "open")
EDGES = {
    (BASE, "mid", W),
    *(("mid", stage, W) for stage in (*LATE, "agent", "open", "restart", "all", RM)),
    # Its pass rates choose the prompts of climbs with a grade, on which later data is sampled too.
    *(("mid", stage, S) for stage in (*LATE, "agent", "restart", "stem", "all")),
    *((stage, "restart", D) for stage in LATE),  # several late checkpoints
    ("restart", "stem", W),
    *((stage, "all", D) for stage in CLIMBS),
    ("all", "light", W),
    ("mid", RM, D),  # comparisons of what it wrote
    *((RM, stage, S) for stage in ("open", "all", "light")),
}
