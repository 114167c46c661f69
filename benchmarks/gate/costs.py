"""What fits in the calibrated family, and how long the gate's probe took, from committed rows."""

from collections.abc import Sequence
from statistics import fmean, median

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import result, table
from benchmarks.common.results import Row, load
from benchmarks.gate.shares import SAME, baseline, share
from benchmarks.gate.tables import CONVENTIONAL

GOAL_SECONDS = 30.0
"""Of the probe, in both families."""


def gate_baseline() -> str:
    """Return what teachers of the student's own fork point pass on, and other conventions."""
    cases: Row = load(RESULTS / "gate_rows.json.gz", {})["cases"]
    fits = baseline(cases)
    same = [case for case in cases.values() if case["kind"] == SAME]
    other = [share(case, fits) for case in cases.values() if case["kind"] in CONVENTIONAL]
    return (
        f"The {len(same)} teachers of the student's own fork point pass on {fits:.3f} of their "
        f"gain (mean). The {len(other)} of other conventions pass on {min(other):.2f} to "
        f"{max(other):.2f} of that (mean {fmean(other):.2f}).\n"
    )


def gate_costs() -> str:
    """Return the probe's seconds in both families, and those of ``provost gate`` as a whole."""
    cases: Row = load(RESULTS / "gate_rows.json.gz", {})["cases"]
    fresh = result("gate_fresh")["figures"]["rows"]
    waits = result("waits")["gate"]
    probes = (
        ("calibrated", [case["measured"]["probe_seconds"] for case in cases.values()]),
        ("fresh", [row["probe_seconds"] for row in fresh]),
    )
    rows = [(f"probe, {family} family", *probe_cells(seconds)) for family, seconds in probes]
    command = ("`provost gate` on the demo", len(waits["each"]), *_spread(waits["each"]), "")
    heads = ("what", "times", "least, s", "median, s", "most, s", f"above {GOAL_SECONDS:g} s")
    return table(heads, [*rows, command])


def probe_cells(seconds: Sequence[float]) -> tuple[object, ...]:
    """Return the number of probes, least, median, most, and how many missed the goal."""
    above = sum(each > GOAL_SECONDS for each in seconds)
    return (len(seconds), *_spread(seconds), above)


def _spread(seconds: Sequence[float]) -> tuple[str, str, str]:
    least, middle, most = (
        f"{value:.1f}" for value in (min(seconds), median(seconds), max(seconds))
    )
    return least, middle, most
