"""The gate benchmark's results for people: Markdown tables and one picture."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

import matplotlib as mpl

from benchmarks.common.circumstances import PICTURES
from benchmarks.common.results import Row
from benchmarks.gate.shares import SAME, baseline, halves, share
from benchmarks.gate.verdicts import LEAST_LOST, LOST, summary

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PICTURE = PICTURES / "gate-outcomes.png"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
UNGRADED = {"over-trained"}
PARTS = ("cases", "cured", "sampled", "remedies")


def figures(results: Row) -> Row:
    """Return the summary of the rows: verdicts of both halves, and what the weights contradict."""
    halved = zip(("fitted", "held out"), halves(results["cases"]), strict=True)
    found: Row = {what: summary(results, names) for what, names in halved}
    for each in found.values():
        del each["rows"]
    rows = [row for part in results["ancestry"].values() for row in part]
    for what, is_true in (("true", True), ("false", False)):
        declared = [row["contradicted"] for row in rows if row["true"] is is_true]
        found[f"{what} ancestry"] = {"declarations": len(declared), "contradicted": sum(declared)}
    found["rows of"] = {part: len(results[part]) for part in PARTS}
    return found


def table(results: Row) -> str:
    """Return all of it as Markdown."""
    parts = (
        _verdicts(results),
        _kinds(results),
        _cured(results),
        _sampled(results),
        _ancestry(results),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _verdicts(results: Row) -> Iterator[str]:
    yield (
        "| cases | number | lost more than 0.15 | AUC | rank | rank where predicted | "
        "error where predicted | let through | refused in vain |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for what, names in zip(("fitted", "held out"), halves(results["cases"]), strict=True):
        found = summary(results, names)
        yield (
            f"| {what} | {found['cases']} | {found['lost']} | {found['auc']:.3f} | "
            f"{found['rank_correlation']:.2f} | {found['rank_correlation_where_predicted']:.2f} | "
            f"{found['error_where_predicted']:.2f} | {len(found['lost_and_let_through'])} | "
            f"{len(found['kept_and_refused'])} |"
        )
    for names in halves(results["cases"]):
        found = summary(results, names)
        for what in ("lost_and_let_through", "kept_and_refused"):
            if found[what]:
                yield f"{what}: {', '.join(found[what])}"


def _kinds(results: Row) -> Iterator[str]:
    yield "| mismatch | cases | verdicts | expected | came (share of what fits) | deviation |"
    yield "|---|---|---|---|---|---|"
    cases: Row = results["cases"]
    by_kind: dict[str, list[Any]] = defaultdict(list)
    for row in summary(results, list(cases))["rows"]:
        by_kind[_kind(cases[row["case"]])].append(row)
    for kind, rows in by_kind.items():
        verdicts: dict[str, int] = defaultdict(int)
        for row in rows:
            verdicts[row["verdict"].value] += 1
        said = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        yield (
            f"| {kind} | {len(rows)} | {said} | {fmean(row['expected'] for row in rows):.2f} | "
            f"{_mean([row['actual'] for row in rows])} |"
        )


def _kind(case: Row) -> str:
    level = f" {case['level']:g}" if case["level"] and case["kind"] not in UNGRADED else ""
    return f"{case['kind']}{level}"


def _mean(values: Sequence[float]) -> str:
    wide = f"{stdev(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):.2f} | {wide}"


def _sampled(results: Row) -> Iterator[str]:
    """Yield what the sampled-token objective keeps, and what each remedy brings back of its loss.

    All as a share of what the domain's own teacher passes on by that objective in that family.
    """
    yield "| mismatch | cases | exact divergence | sampled token | with warm-up | with delta |"
    yield "|---|---|---|---|---|---|"
    cases: Row = results["cases"]
    by_kind: dict[str, list[Any]] = defaultdict(list)
    for name in results["sampled"]:
        by_kind[cases[name]["kind"]].append(name)
    for kind, names in by_kind.items():
        exact = fmean(_exact(results, name) for name in names)
        plain = fmean(_kept(results, name, "") for name in names)
        cells = [f"{exact:.2f}", f"{plain:.2f}"]
        for remedy in ("warm-up", "delta"):
            found = [
                _kept(results, name, remedy)
                for name in names
                if f"{name} {remedy}" in results["remedies"]
            ]
            cells.append(f"{fmean(found):.2f} ({len(found)})" if found else "")
        yield f"| {kind} | {len(names)} | {' | '.join(cells)} |"
    for remedy in ("exact divergence", "warm-up", "delta"):
        pairs = [*_recovered(results, remedy)]
        if pairs:
            lost = sum(1 - before for before, _ in pairs)
            gained = sum(after - before for before, after in pairs)
            better = sum(after > before for before, after in pairs)
            yield (
                f"{remedy}: {len(pairs)} cases that lost more than {LEAST_LOST} lost "
                f"{lost / len(pairs):.2f} on average; {gained / lost:.0%} of it is recovered, "
                f"{better} of {len(pairs)} are better"
            )


def _cured(results: Row) -> Iterator[str]:
    """Yield what each remedy brings back of what was lost by the exact divergence."""
    yield "| remedy | cases | kept without | kept with | of the loss recovered | better |"
    yield "|---|---|---|---|---|---|"
    fits = baseline(results["cases"])
    by_remedy: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in results["cured"].values():
        before = _exact(results, row["case"])
        by_remedy[row["remedy"]].append((before, min(1.0, max(0.0, row["normalized"] / fits))))
    for remedy, pairs in by_remedy.items():
        lost = sum(1 - before for before, _ in pairs)
        gained = sum(after - before for before, after in pairs)
        yield (
            f"| {remedy} | {len(pairs)} | {fmean(before for before, _ in pairs):.2f} | "
            f"{fmean(after for _, after in pairs):.2f} | {gained / lost:.0%} | "
            f"{sum(after > before for before, after in pairs)} of {len(pairs)} |"
        )


def _exact(results: Row, name: str) -> float:
    return share(results["cases"][name], baseline(results["cases"]))


def _kept(results: Row, name: str, remedy: str) -> float:
    """Return the share of the own teacher's result that a merge by the sampled token keeps."""
    case = results["cases"][name]
    fits = float(results["sampled"][f"{SAME}/{case['domain']}/{case['seed']}"]["normalized"])
    row = results["remedies"][f"{name} {remedy}"] if remedy else results["sampled"][name]
    return float(row["normalized"]) / fits


def _recovered(results: Row, remedy: str) -> Iterator[tuple[float, float]]:
    """Yield what a case that lost something keeps without a remedy, and with it."""
    for name in results["sampled"]:
        before = _kept(results, name, "")
        if before > 1 - LEAST_LOST or results["cases"][name]["kind"] == SAME:
            continue
        if remedy == "exact divergence":
            yield before, _exact(results, name)
        elif f"{name} {remedy}" in results["remedies"]:
            yield before, _kept(results, name, remedy)


def _ancestry(results: Row) -> Iterator[str]:
    yield "| declared parent | declarations | contradicted |"
    yield "|---|---|---|"
    rows = [row for part in results["ancestry"].values() for row in part]
    for what, is_true in (("true", True), ("false", False)):
        asked = [row["contradicted"] for row in rows if row["true"] is is_true]
        if asked:
            yield f"| {what} | {len(asked)} | {sum(asked)} ({sum(asked) / len(asked):.1%}) |"


def draw(results: Row) -> None:
    """Draw expected against actual, and the projections of true and false declarations."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), width_ratios=(1.4, 1))
    _draw_outcomes(left, results)
    _draw_ancestry(right, results)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _draw_outcomes(axes: Axes, results: Row) -> None:
    held_out = set(halves(results["cases"])[1])
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in summary(results, list(results["cases"]))["rows"]:
        by_kind[results["cases"][row["case"]]["kind"]].append(row)
    for marker, (kind, rows) in zip(MARKERS, by_kind.items(), strict=True):
        for is_held_out in (True, False):
            chosen = [row for row in rows if (row["case"] in held_out) is is_held_out]
            axes.scatter(
                [row["expected"] for row in chosen],
                [row["actual"] for row in chosen],
                marker=marker,
                s=42,
                facecolors="black" if is_held_out else "none",
                edgecolors="black",
                alpha=0.6,
                label=kind if is_held_out else None,
            )
    axes.axhline(1 - LOST, linestyle=":", color="0.4")
    axes.axvline(1 - LOST, linestyle=":", color="0.4")
    axes.set_xlabel("expected by the gate")
    axes.set_ylabel("came, as a share of what fits")
    axes.set_title("filled: held out from the calibration")
    axes.legend(fontsize=7, loc="lower right", ncols=2)


def _draw_ancestry(axes: Axes, results: Row) -> None:
    rows = [row for part in results["ancestry"].values() for row in part]
    for is_true, hatch in ((True, ""), (False, "//")):
        values = [max(-1.0, min(2.0, row["projection"])) for row in rows if row["true"] is is_true]
        axes.hist(
            values,
            bins=[-1 + 0.1 * n for n in range(31)],
            histtype="stepfilled",
            facecolor="0.75" if is_true else "white",
            edgecolor="black",
            hatch=hatch,
            alpha=0.8,
            label=f"{'true' if is_true else 'false'} declarations ({len(values)})",
        )
    axes.set_yscale("log")
    axes.set_xlabel("share of the parent's learning in the child")
    axes.legend(fontsize=8, loc="upper left")
    axes.set_ylim(top=2000)
