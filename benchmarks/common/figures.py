"""The tables of the pages, written from the result files: ``python -m benchmarks.common.figures``.

A page holds a table between two marks::

    <!-- figures: faults -->
    ...
    <!-- end of figures -->

A table is made from committed result files alone, so a page cannot drift from them: a test makes
each again and compares. Below a table stand the files that were read, with their commits. A single
figure stands between marks inside a line::

    The demo takes <!-- figure: waits_demo -->499.3 s<!-- end -->.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.attribution.shown import ATTRIBUTION, ATTRIBUTION_FIGURES
from benchmarks.behaviors.pages import BEHAVIORS
from benchmarks.common.checkout import RESULTS, ROOT
from benchmarks.common.estimates import (
    estimate_counted,
    estimate_measured,
    ledger_needs,
    ledger_options,
    ledger_sizes,
    memory,
)
from benchmarks.common.layout_estimates import LAYOUT_FIGURES
from benchmarks.common.markdown import origin, result, table
from benchmarks.common.results import load, noted_reads
from benchmarks.controls.shown import CONTROL_TABLES
from benchmarks.gate.costs import gate_baseline, gate_costs
from benchmarks.gate.fresh.calibrated import calibrated_ancestry, calibrated_table, calibrated_today
from benchmarks.gate.fresh.limits import limits_table
from benchmarks.gate.fresh.tables import FRESH
from benchmarks.gate.fresh.uncapped import warmed_table
from benchmarks.gate.tables import CALIBRATED
from benchmarks.lineage.tables import LINEAGE
from benchmarks.map.shown import (
    map_costs,
    map_ladder,
    map_leads,
    map_picture,
    map_points,
    map_predictions,
)
from benchmarks.platform.demo_tables import DEMO, DEMO_FIGURES
from benchmarks.platform.scorecard_pictures import demo_picture, proof_picture
from benchmarks.platform.tables import PLATFORM, PLATFORM_FIGURES
from benchmarks.real.table import climbs, merges, minutes, students
from benchmarks.recipes.tables import (
    recipe_attempts,
    recipe_claims,
    recipe_counts,
    recipe_gaps,
    recipes,
)
from benchmarks.scale.tables import SCALE, SCALE_FIGURES
from benchmarks.step.tables import STEP
from benchmarks.testbed.tables import testbed, testbed_modes

_BLOCK = re.compile(
    r"(<!-- figures: (?P<name>[a-z_]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL
)
_INLINE = re.compile(r"(<!-- figure: (?P<name>[a-z0-9_]+) -->)[^\n]*?(<!-- end -->)")

FAULTS = {
    "kills": "SIGKILL of a small consolidation at a random moment, then the same again",
    "demo_kills": "the same of the demo's consolidation",
    "recipe_kills": "the same of a recipe at the scale micro, one of three",
    "flips": "one flipped byte in a checkpoint, record, release or statement, then `verify`",
    "full": "a full disk at a random write",
    "outages": "an S3 server killed, slowed, cut off or filled up at a random moment",
    "releases": "eight teams release at once",
    "clocks": "two machines two days apart",
    "teams": "an act of one team, by its role, beside another",
    "teams_s3": "the same on an S3 server that evaluates the roles",
    "trained": "the same, then a student of others' teachers is trained",
}


def faults() -> str:
    """Return the failure campaign: trials and violations of each case."""
    found = result("faults")
    return table(
        ("fault", "trials", "violations", "command", "commit"),
        (
            (
                FAULTS[case],
                f"{row['trials']:,}",
                row["violations"],
                f"`{row['command']}`",
                ", ".join(commit[:7] for commit in row["commits"]),
            )
            for case, row in sorted(found.items(), key=lambda item: list(FAULTS).index(item[0]))
        ),
    )


def fuzz() -> str:
    """Return what became of the damaged documents, for each reader of another team's data."""
    found = result("fuzz")["figures"]["readers"]
    return table(
        ("reader", "inputs", "past the first validation", "accepted", "refused with"),
        (
            (
                reader,
                f"{row['inputs']:,}",
                f"{row['past_first']:,}",
                f"{row['taken']:,}",
                ", ".join(f"`{kind}`" for kind in sorted(row["refused"])),
            )
            for reader, row in found.items()
        ),
    )


def new_domain() -> str:
    """Return what reaches a student of a domain that its fork point has never seen."""
    found = result("new_domain")["figures"]
    domains = ("roman", "math", "code")
    scores = found["student"]["scores"]
    others = ("fork_point", "parameter_average", "task_arithmetic", "teacher")
    rows = [
        (
            who.replace("_", " "),
            *(f"{scores[domain]['against'][who]:.2f}" for domain in domains),
        )
        for who in others
    ]
    rows.append(("**student**", *(f"{scores[domain]['value']:.2f}" for domain in domains)))
    return table(("", *domains), rows)


def ledger_rounds() -> str:
    """Return what became of the ledger in short rounds of a model of 135 million weights."""
    return table(
        (
            *("learning rate", "precision", "rounding, share of the change", "over its prediction"),
            *("unexplained share", "audit's residual", "ledger, MiB", "foreign change"),
        ),
        (
            (
                f"{row['learning_rate']:.0e}",
                row["precision"],
                f"{row['rounding']:.1e}",
                f"{row['measured_over_predicted']:.2f}",
                f"{row['unexplained']:.0e}",
                f"{row['audit']['residual']:.0e}",
                f"{row['bytes']['ledger'] >> 20:,}",
                "refused" if row["foreign_change_refused"] else "not seen",
            )
            for row in result("ledger_rounds")["cases"].values()
        ),
    )


class _Proof:
    """The committed rows of the proof on a real model."""

    def row(self, step: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = load(RESULTS / "real" / f"{step}.json", {})
        return found


def proof_climbs() -> str:
    """Return the scores of the four teams of the real model."""
    return climbs(_Proof())


def proof_students() -> str:
    """Return the students of the real model, by seed and team."""
    return students(_Proof())


def proof_merges() -> str:
    """Return each method's mean over teams, how far MOPD is from off-policy SFT, and times."""
    return merges(_Proof())


def proof_minutes() -> str:
    """Return what each step of the proof took."""
    return minutes(_Proof())


TABLES: dict[str, Callable[[], str]] = {
    "memory": memory,
    "ledger_needs": ledger_needs,
    "ledger_sizes": ledger_sizes,
    "ledger_options": ledger_options,
    "estimate_measured": estimate_measured,
    "estimate_counted": estimate_counted,
    "faults": faults,
    "fuzz": fuzz,
    "new_domain": new_domain,
    "testbed": testbed,
    "testbed_modes": testbed_modes,
    "proof_climbs": proof_climbs,
    "proof_students": proof_students,
    "proof_merges": proof_merges,
    "proof_minutes": proof_minutes,
    "map_points": map_points,
    "map_ladder": map_ladder,
    "map_costs": map_costs,
    "map_leads": map_leads,
    "map_predictions": map_predictions,
    "map_picture": map_picture,
    "recipes": recipes,
    "recipe_claims": recipe_claims,
    "recipe_attempts": recipe_attempts,
    "gate_calibrated": calibrated_table,
    "gate_calibrated_ancestry": calibrated_ancestry,
    "gate_today": calibrated_today,
    "gate_limits": limits_table,
    "gate_baseline": gate_baseline,
    "gate_costs": gate_costs,
    "gate_warmed": warmed_table,
    **CONTROL_TABLES,
    **CALIBRATED,
    **FRESH,
    "recipe_counts": recipe_counts,
    "recipe_gaps": recipe_gaps,
    "ledger_rounds": ledger_rounds,
    **STEP,
    **PLATFORM,
    **DEMO,
    "demo_picture": demo_picture,
    "proof_picture": proof_picture,
    **LINEAGE,
    **SCALE,
    **ATTRIBUTION,
    **BEHAVIORS,
}

FIGURES: dict[str, Callable[[], str]] = {
    **PLATFORM_FIGURES,
    **SCALE_FIGURES,
    **ATTRIBUTION_FIGURES,
    **DEMO_FIGURES,
    **LAYOUT_FIGURES,
}
"""What stands inside a line, by name."""


def pages() -> Iterator[Path]:
    """Yield the pages for people."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def block(name: str) -> str:
    """Return a table with the result files that it was made from, and their commits."""
    with noted_reads() as read:
        made = TABLES[name]()
    return made + origin(read)


def written(text: str) -> str:
    """Return a page with each of its tables and figures made anew.

    Raises:
        KeyError: for a table that is not in ``TABLES``, or a figure that is not in ``FIGURES``.
    """
    text = _BLOCK.sub(lambda found: found[1] + block(found["name"]) + found[3], text)
    return _INLINE.sub(lambda found: found[1] + FIGURES[found["name"]]() + found[3], text)


def main() -> None:
    """Write all tables into their pages."""
    for page in pages():
        text = page.read_text("utf-8")
        if (new := written(text)) != text:
            page.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
