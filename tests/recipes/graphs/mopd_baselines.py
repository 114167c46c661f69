"""The MOPD paper's baselines: all from one SFT checkpoint, and from the same teachers."""

from tests.recipes.graphs import BASE, D, W

DOMAINS = ("form", "add", "sort")
MERGES = ("average", "arithmetic")
EDGES = {
    (BASE, "sft", W),
    *(("sft", f"{name}-teacher", W) for name in DOMAINS),
    *((f"{name}-teacher", "off-policy", D) for name in DOMAINS),
    ("sft", "off-policy", W),
    *(("sft", merge, W) for merge in MERGES),
    *((f"{name}-teacher", merge, W) for name in DOMAINS for merge in MERGES),
    ("form-teacher", "cascade-2-add", W),
    ("cascade-2-add", "cascade-3-sort", W),
    ("sft", "mix", W),
}
