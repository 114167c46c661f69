"""MiMo-V2-Flash: the student is as good as each expert, and keeps the domain without one."""

from benchmarks.recipes.claims.kinds import holds, rises

EXPERTS = ["add", "sort"]
CLAIMS = [
    *(rises(f"{name}-teacher", over="sft", domains=[name]) for name in EXPERTS),
    *(holds("mopd", beside=f"{name}-teacher", domains=[name], margin=0.02) for name in EXPERTS),
    rises("mopd", over="sft", domains=EXPERTS),
    holds("mopd", beside="sft", domains=["form"]),
]
NOT_CHECKED = "the weight of the reward at 0, and RL on the reward alone"
CHANGED = "60 steps of MOPD instead of 30: figure 6 shows about 50, and in sort 30 were too few"
