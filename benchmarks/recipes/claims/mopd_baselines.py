"""The MOPD paper's baselines: all beat SFT, the plain average least, and a cascade forgets."""

from benchmarks.recipes.claims.kinds import falls, rises

DOMAINS = ["form", "add", "sort"]
CLAIMS = [
    *(rises(f"{name}-teacher", over="sft", domains=[name]) for name in DOMAINS),
    *(
        rises(stage, over="sft", domains=DOMAINS)
        for stage in ("off-policy", "arithmetic", "cascade-3-sort", "mix")
    ),
    *(
        falls("average", below=stage, domains=DOMAINS)
        for stage in ("off-policy", "arithmetic", "cascade-3-sort", "mix")
    ),
    falls("cascade-3-sort", below="cascade-2-add", domains=["add"]),
]
NOT_CHECKED = "the range over domains beside MOPD's own (the comparison with MOPD is the controls')"
CHANGED = (
    "RL's rate from 5e-4 to 3e-4: each stage of the cascade cost the ones before it about as much "
    "as the average of the weights lost"
)
