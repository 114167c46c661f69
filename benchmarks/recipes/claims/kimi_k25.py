"""Kimi K2.5: SFT on text keeps sight above chance, and joint RL raises it at no cost to text."""

from benchmarks.recipes.claims.kinds import holds, metric_acts, reaches, rises, shorter

TEXT = ["add", "sort", "form"]
CLAIMS = [
    reaches("sft", domains=["grid"], least=0.1),  # a guess is right in one of 64
    rises("joint", over="sft", domains=["grid"]),
    holds("joint", beside="sft", domains=TEXT),
    shorter("joint", than="untoggled", domains=TEXT),  # Toggle
    holds("joint", beside="untoggled", domains=TEXT),
    metric_acts("joint", "rl/mechanism/toggle/bound"),
]
FIRST_CLAIMS = [
    *CLAIMS[:3],
    shorter("joint", than="rft", domains=["add", "sort"]),  # Toggle; both with thoughts
]
NOT_CHECKED = "SFT with images, which was worse in the source"
CHANGED = (
    "joint RL at 3e-4 on a few prompts that are solved at times, so that each comes again and "
    "meets its budget (Toggle had acted nowhere), and its length beside that of the same RL "
    "without Toggle instead of that of the stage before, which solves less"
)
