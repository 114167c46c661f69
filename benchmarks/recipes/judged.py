"""A recipe judged by its claims."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.recipes.claims.kinds import Claim, Runs


def claims_of(system: str) -> Sequence[Claim]:
    """Return the claims of a recipe; a module without one is an error."""
    claims: Sequence[Claim] = import_module(f"benchmarks.recipes.claims.{system}").CLAIMS
    if not claims:
        raise ValueError(f"{system} has no claim: state its smallest test")
    return claims


def judged(system: str, runs: Runs) -> dict[str, Any]:
    """Return whether all claims of a recipe hold over its runs, and what each was judged by."""
    rows = []
    for claim in claims_of(system):
        verdict = claim.judge(runs)
        row: dict[str, Any] = {"claim": claim.statement, "holds": verdict.holds}
        row["value"] = round(verdict.value, 4)
        if verdict.low is not None and verdict.high is not None:
            row["interval"] = [round(verdict.low, 4), round(verdict.high, 4)]
        rows.append(row)
    return {
        "passed": all(row["holds"] for row in rows),
        "held": sum(row["holds"] for row in rows),
        "seeds": sorted(run.seed for run in runs),
        "claims": rows,
    }
