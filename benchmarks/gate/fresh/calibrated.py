"""The calibrated family by the same figures as the fresh one: hard cases apart, with intervals.

Nothing here is measured again. The rows are those of the first family, which chose the gate's
features and numbers, so its figures say what was fitted and not what is known of new teachers.
"""

from collections.abc import Iterator

from benchmarks.common.checkout import RESULTS
from benchmarks.common.markdown import table
from benchmarks.common.results import Row, load
from benchmarks.gate.fresh.predictors import PROTOCOL, Measured, risks
from benchmarks.gate.fresh.summary import LEAST_GAIN, LOST, aucs, subset
from benchmarks.gate.fresh.tables import interval, title, today_table
from benchmarks.gate.fresh.today import counts_now, verdict_now
from benchmarks.gate.regression import predict, stored_calibration
from benchmarks.gate.shares import SAME, baseline, halves, measure_of, share

EASY = {SAME, "swapped", "noise", "other template", "uniform"}
"""Kinds that fit for certain, or that are broken or misrouted."""
LEAST_PROJECTION = 0.5
"""As in ``tasks.model.ancestry``, which loads torch; a test holds them equal."""
SIDES = (("true", True), ("false", False))


def calibrated_rows() -> Iterator[Row]:
    """Yield the cases of the calibrated family in the form of the summary's rows."""
    cases: Row = load(RESULTS / "gate_rows.json.gz", {})["cases"]
    fits, (_, held_out) = baseline(cases), halves(cases)
    for name, case in cases.items():
        outcome, measure = case["outcome"], measure_of(case)
        useful = outcome["teacher"] - outcome["start"] >= LEAST_GAIN
        calibration = stored_calibration()
        prediction = predict(measure, calibration) if measure.reading.finite else None
        yield {
            "case": name,
            "held_out": name in held_out,
            "hard": case["kind"] not in EASY and useful,
            "ambiguous": False,
            "share": round(share(case, fits), 4),
            "lost": share(case, fits) < 1 - LOST,
            "risks": risks(Measured(measure, prediction, None)),
            "now": verdict_now(measure.model_dump()).value,
        }


def calibrated_table() -> str:
    """Return each predictor's AUC on hard and easy cases, and on the hard ones held out."""
    rows = list(calibrated_rows())
    parts = {
        "hard": subset(rows, "hard"),
        "hard, held out": [row for row in subset(rows, "hard") if row["held_out"]],
        "easy": subset(rows, "easy"),
    }
    found = {name: aucs(part) for name, part in parts.items()}
    heads = [
        f"{name}: {len(part)} cases, {sum(row['lost'] for row in part)} lost"
        for name, part in parts.items()
    ]
    return table(
        ("predictor", *heads),
        (
            (
                title(name),
                *(interval(each[name], ("auc", "low", "high")) for each in found.values()),
            )
            for name in found["hard"]
            if name != PROTOCOL  # it was not measured then
        ),
    )


def calibrated_today() -> str:
    """Return what today's gate finds, and what it holds up in vain, in both families."""
    rows = list(calibrated_rows())
    return today_table({name: counts_now(subset(rows, name)) for name in ("hard", "all")})


def calibrated_ancestry() -> str:
    """Return how many declared parents the weights contradict, in all and by projection alone."""
    parts = load(RESULTS / "gate_rows.json.gz", {})["ancestry"].values()
    rows = [row for part in parts for row in part]

    def counted(chosen: list[Row]) -> tuple[str, str]:
        alone = sum(not row["projection"] >= LEAST_PROJECTION for row in chosen)
        whole = sum(row["contradicted"] for row in chosen)
        first, second = (f"{count} ({count / len(chosen):.1%})" for count in (whole, alone))
        return first, second

    split = {name: [r for r in rows if r["true"] is true] for name, true in SIDES}
    return table(
        ("declared parent", "declarations", "contradicted", "by the projection alone"),
        ((name, len(chosen), *counted(chosen)) for name, chosen in split.items()),
    )
