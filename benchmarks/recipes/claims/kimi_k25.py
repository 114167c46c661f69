"""Kimi K2.5: SFT on text keeps sight above chance, and joint RL raises it at no cost to text."""

from benchmarks.recipes.claims.kinds import holds, reaches, rises, shorter

TEXT = ["add", "sort", "form"]
CLAIMS = [
    reaches("sft", domains=["grid"], least=0.1),  # a guess is right in one of 64
    rises("joint", over="sft", domains=["grid"]),
    holds("joint", beside="sft", domains=TEXT),
    shorter("joint", than="rft", domains=["add", "sort"]),  # Toggle; both with thoughts
    # not checked: the joint RL without Toggle, and SFT with images, which are other recipes
]
