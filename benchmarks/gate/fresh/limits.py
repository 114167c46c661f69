"""Verdicts by a limit on a single number, in place of the gate's tests: what each would find.

The limits were chosen behind the evaluation. A limit is of use if it carries over from one family
of tasks to the other.
"""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import table
from benchmarks.common.results import Row, load
from benchmarks.gate.fresh.calibrated import calibrated_rows
from benchmarks.gate.fresh.predictors import RULE
from benchmarks.gate.fresh.summary import subset
from benchmarks.gate.fresh.tables import title

LIMITS: Mapping[str, Sequence[float]] = {
    RULE: (0.5,),
    "right answers unlikely": (0.05, 0.1, 0.3, 0.5, 1.0),
    "reverse KL": (0.4, 0.6, 0.8, 1.0, 1.5),
    "forward KL": (0.1, 0.2, 0.4),
}
"""Limits in nats per token; the gate's two tests say 0 or 1."""


def limits_table() -> str:
    """Return what each limit finds of the lost hard cases, and what it holds up in vain."""
    families = {"fresh": list(_fresh()), "calibrated": subset(list(calibrated_rows()), "hard")}
    heads = (
        *("number", "limit"),
        *(f"{name}: {what}" for name in families for what in ("lost, found", "not lost, held up")),
    )
    return table(
        heads,
        (
            (
                title(name),
                "" if name == RULE else f"{limit:g}",
                *(cell for rows in families.values() for cell in _counted(rows, name, limit)),
            )
            for name, limits in LIMITS.items()
            for limit in limits
        ),
    )


def _fresh() -> Iterator[Row]:
    for row in load(RESULTS / "gate_fresh.json", {})["figures"]["rows"]:
        if row["hard"]:
            case = load(RESULTS / "gate_fresh" / f"{row['case']}.json", {})["figures"]
            yield {"lost": row["lost"], "risks": case["risks"]}


def _counted(rows: Sequence[Row], name: str, limit: float) -> Iterator[str]:
    """Yield how many lost ones are above a limit, and how many others; not measured is above."""
    above = [row for row in rows if row["risks"][name] is None or row["risks"][name] > limit]
    for lost in (True, False):
        whole = sum(row["lost"] is lost for row in rows)
        yield f"{sum(row['lost'] is lost for row in above)} of {whole}"
