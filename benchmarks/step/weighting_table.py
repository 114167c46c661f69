"""The table of teachers' weightings, from the committed cases."""

from collections import defaultdict
from statistics import fmean, stdev

from benchmarks.common.markdown import result, table

DEFAULT = "none/sequence_mean"
"""What the others are compared with, seed by seed."""


def weighting() -> str:
    """Return each form's share of the teachers' gain over seeds, best first."""
    by_form: dict[str, dict[str, float]] = defaultdict(dict)
    for name, case in result("balance")["cases"].items():
        form, _, seed = name.rpartition("/")
        by_form[form][seed] = case["normalized"]["overall"]["mean"]
    rows = []
    for form, means in sorted(by_form.items(), key=lambda item: -fmean(item[1].values())):
        balance, _, normalization = form.replace("_", " ").partition("/")
        name, cells = f"{balance}, {normalization}", ["-", "-"]
        if form == DEFAULT:
            name = f"**{name}** (default)"
        else:
            gains = [mean - by_form[DEFAULT][seed] for seed, mean in sorted(means.items())]
            cells = [", ".join(f"{gain:+.3f}" for gain in gains)]
            cells.append(f"{fmean(gains):+.3f} ± {stdev(gains):.3f}")
        values = list(means.values())
        rows.append((name, f"{fmean(values):.3f} ± {stdev(values):.3f}", *cells))
    heads = ("balance, normalization", "overall", "against the default, seed by seed", "mean")
    return table(heads, rows)


def weighting_gains() -> str:
    """Return what ``gap`` gains in each domain over the default, as a mean over seeds."""
    gains: dict[str, list[float]] = defaultdict(list)
    cases = result("balance")["cases"]
    for name, case in cases.items():
        form, _, seed = name.rpartition("/")
        if form == "gap/sequence_mean":
            for domain, score in case["normalized"].items():
                default = cases[f"{DEFAULT}/{seed}"]["normalized"][domain]
                gains[domain].append(score["mean"] - default["mean"])
    return table(("", *gains), [("gap", *(f"{fmean(each):+.3f}" for each in gains.values()))])
