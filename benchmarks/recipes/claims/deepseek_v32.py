"""DeepSeek-V3.2: the distilled model is a little below its specialists, and mixed RL closes in."""

from benchmarks.recipes.claims.kinds import holds, metric_acts, rises

DOMAINS = ["add", "sort", "form", "tool"]
CLAIMS = [
    *(rises(f"{name}-specialist", over="base", domains=[name]) for name in DOMAINS),
    rises("distilled", over="base", domains=DOMAINS),
    rises("mixed", over="distilled", domains=DOMAINS),
    *(holds("mixed", beside=f"{name}-specialist", domains=[name], margin=0.1) for name in DOMAINS),
    metric_acts("mixed", "rl/mechanism/negative_mask/bound"),
]
NOT_CHECKED = "the mixed RL from the base without traces, and without the mask of negative rollouts"
CHANGED = (
    "the mixed RL from 20 steps of 4 prompts a domain at 3e-4 to 30 of 8 at 1.5e-4: its gradient "
    "was noise beside what the answers had brought"
)
