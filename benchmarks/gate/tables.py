"""The calibrated family for people, as Markdown tables; they load no torch."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.results import Row, load
from benchmarks.common.statistics import ratio_of_sums
from benchmarks.gate.shares import SAME, baseline, halves, share
from benchmarks.gate.verdicts import LEAST_LOST, summary

UNGRADED = {"over-trained"}
SAID = {
    "swapped": "swapped with another domain's teacher",
    "noise": "noise on the weights",
    "uniform": "uniform: weights lost",
    "over-trained": "over-trained on a handful of answers",
    "SFT teacher": "SFT teacher instead of RL",
    "other base": "other base, same tokenizer",
    "sibling SFT": "sibling fork point, share of other data",
    "as lambda": "`f=lambda x:x+17` for `def f(x):return x+17`, share of answers",
    "padded call": "`00017+00005` for `17+5` in the tool's call, share of answers",
    "other letter, other base": "`def f(a):return a+17`, from another base, share of answers",
}
"""What a table calls a kind."""
CONVENTIONAL = ("as lambda", "padded call", "other letter, other base")
"""Kinds of healthy teachers that answer in a convention that the student never says."""
CHOSEN_ON = "as lambda 1/code/0"
"""The case on which the warm-up's strength was chosen."""
LEAST_GAIN = 0.1
"""A teacher with less has nothing to give that 500 prompts can show."""
BOOTSTRAP = 20261130
LEAST_TO_RESAMPLE = 8
"""With fewer cases a bootstrap over them says little."""
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
        "| cases | number | lost more than 0.15 | lost and fits | kept and held up | "
        "regression, AUC | its rank | rank where asked | error where asked |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for what, names in zip(("fitted", "held out"), halves(results["cases"]), strict=True):
        found = summary(results, names)
        yield (
            f"| {what} | {found['cases']} | {found['lost']} | "
            f"{len(found['lost_and_let_through'])} | {len(found['kept_and_refused'])} | "
            f"{found['auc']:.3f} | {found['rank_correlation']:.2f} | "
            f"{found['rank_correlation_where_predicted']:.2f} | "
            f"{found['error_where_predicted']:.2f} |"
        )
    for what, key in (
        ("Lost and fits", "lost_and_let_through"),
        ("Kept and held up", "kept_and_refused"),
    ):
        both = [summary(results, names)[key] for names in halves(results["cases"])]
        yield f"\n{what}: {', '.join(name for found in both for name in found) or 'none'}."


def _kinds(results: Row) -> Iterator[str]:
    yield "| mismatch | cases | verdicts | regression | came (share of what fits) | deviation |"
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
    return f"{SAID.get(case['kind'], case['kind'])}{level}"


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
                f"\n{remedy}: {len(pairs)} cases that lost more than {LEAST_LOST} lost "
                f"{lost / len(pairs):.2f} on average; {gained / lost:.0%} of it is recovered, "
                f"{better} of {len(pairs)} are better"
            )


def _cured(results: Row) -> Iterator[str]:
    """Yield what each remedy brings back of what was lost by the exact divergence."""
    yield "| remedy | cases | kept without | kept with | of the loss recovered | better |"
    yield "|---|---|---|---|---|---|"
    cases, pairs = results["cases"], _pairs(results)
    warmed = pairs["warm-up"]
    parts = dict(pairs)
    parts["warm-up, without the case that its strength was chosen on"] = {
        name: pair for name, pair in warmed.items() if name != CHOSEN_ON
    }
    for what, level in (("all answers", 1), ("95 % of the answers", 0.95)):
        parts[f"warm-up, another convention in {what}"] = {
            name: pair
            for name, pair in warmed.items()
            if cases[name]["kind"] in CONVENTIONAL and cases[name]["level"] == level
        }
    for what, chosen in parts.items():
        yield _recovery(what, list(chosen.values()))
    losses = [1 - before for before, _ in warmed.values()]
    left = sorted(_left_out(results, warmed), reverse=True)
    named = ", ".join(f"{name} ({lost:.3f})" for lost, name in left)
    yield (
        f"\nThe {len(warmed)} warmed up had lost {min(losses):.3f} to {max(losses):.2f}. "
        f"{len(left)} more with a useful teacher lost above {LEAST_LOST} and were not warmed up: "
        f"{named}."
    )


def _pairs(results: Row) -> dict[str, dict[str, tuple[float, float]]]:
    """Return by remedy and case what is kept without it, and with it."""
    fits = baseline(results["cases"])
    found: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in results["cured"].values():
        after = min(1.0, max(0.0, row["normalized"] / fits))
        found[row["remedy"]][row["case"]] = (_exact(results, row["case"]), after)
    return found


def _recovery(what: str, pairs: Sequence[tuple[float, float]]) -> str:
    """Return a line of the table; the share of the loss has a bootstrap interval over cases."""
    lost = [1 - before for before, _ in pairs]
    gained = [after - before for before, after in pairs]
    mean, low, high = ratio_of_sums(gained, lost, BOOTSTRAP)
    interval = f" ({low:.0%} to {high:.0%})" if len(pairs) >= LEAST_TO_RESAMPLE else ""
    return (
        f"| {what} | {len(pairs)} | {fmean(before for before, _ in pairs):.2f} | "
        f"{fmean(after for _, after in pairs):.2f} | {mean:.0%}{interval} | "
        f"{sum(gain > 0 for gain in gained)} of {len(pairs)} |"
    )


def _left_out(results: Row, warmed: Container[str]) -> Iterator[tuple[float, str]]:
    """Yield loss and name of useful cases that lost something and were not warmed up."""
    for name, case in results["cases"].items():
        lost = 1 - _exact(results, name)
        gain = case["outcome"]["teacher"] - case["outcome"]["start"]
        if lost > LEAST_LOST and gain >= LEAST_GAIN and name not in warmed:
            yield lost, name


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


def _on_page(part: Callable[[Row], Iterator[str]]) -> Callable[[], str]:
    """Return a table of the committed rows."""
    return lambda: "\n".join(part(load(RESULTS / "gate_rows.json.gz", {}))) + "\n"


CALIBRATED = {
    "gate_halves": _on_page(_verdicts),
    "gate_kinds": _on_page(_kinds),
    "gate_cured": _on_page(_cured),
    "gate_sampled": _on_page(_sampled),
}
"""Tables by their name on the page."""
