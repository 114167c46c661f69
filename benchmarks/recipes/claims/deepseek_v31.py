"""DeepSeek-V3.1: one model obeys both modes, and thinking is longer and better."""

from benchmarks.recipes.claims.kinds import extra, holds, rises
from benchmarks.recipes.claims.watched import (
    holds_in_mode,
    obeys,
    rises_in_mode,
    thinking_helps,
    thinks_longer,
)

THINKING = ["add", "sort"]
CLAIMS = [
    obeys("rl", THINKING),
    thinking_helps("rl", THINKING),
    thinks_longer("rl", THINKING, share=0.25),
    # The thinker is the model of one mode.
    holds_in_mode("rl", beside="thinker", domains=THINKING, mode="on", margin=0.1),
    extra(rises_in_mode("rl", over="base", domains=THINKING, mode="off")),
    extra(rises("rl", over="sft", domains=[*THINKING, "tool"])),
    holds("rl", beside="thinker", domains=["tool"], margin=0.1),
]
NOT_CHECKED = "a model of the mode off alone"
CHANGED = (
    "RL with 8 prompts of each domain a step instead of 4, and the last RL at 1.5e-4 instead of "
    "5e-4: it lost what SFT had reached"
)
