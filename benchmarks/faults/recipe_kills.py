"""SIGKILL of a recipe at a random moment, then the same again: three recipes, one after another."""

from benchmarks.faults import kills
from benchmarks.faults.homes import recipe

SYSTEMS = ("llama_3", "olmo_3", "mopd_baselines")
"""Recipes that together run every stage but mid-training and PPO."""


def trial(seed: int) -> dict[str, object]:
    """Kill once, look, go on to the end, and compare every output."""
    system = SYSTEMS[seed % len(SYSTEMS)]
    return {"recipe": system, **kills.trial(seed, recipe(system))}
