"""SIGKILL of the demo's consolidation at a random moment, then the same again."""

from benchmarks.faults import kills
from benchmarks.faults.homes import DEMO


def trial(seed: int) -> dict[str, object]:
    """Kill once, look, go on to the end, and compare."""
    return kills.trial(seed, DEMO)
