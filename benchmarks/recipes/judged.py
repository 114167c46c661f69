"""A recipe judged by its claims."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from benchmarks.recipes.claims.kinds import Claim, Runs
from tasks.contracts.refusal import RefusedError


def claims_of(system: str) -> Sequence[Claim]:
    """Return the claims of a recipe.

    Raises:
        RefusedError: ``no-claims`` for a recipe without a module of claims, or with an empty one.
    """
    module = f"benchmarks.recipes.claims.{system}"
    found: Sequence[Claim] = import_module(module).CLAIMS if find_spec(module) else []
    if not found:
        raise RefusedError(
            "no-claims",
            f"benchmarks/recipes/claims/{system}.py states no CLAIMS: say there what a run at the "
            "scale tiny must show, before the first one",
        )
    return found


def changed(system: str) -> str:
    """Return what the second attempt of a recipe changed, and why.

    Raises:
        RefusedError: ``no-change`` for a recipe with rows of a first attempt and no ``CHANGED``.
    """
    said: str = getattr(_module(system), "CHANGED", "")
    if not said:
        raise RefusedError(
            "no-change",
            f"results/recipes/first has runs of {system}, but its claims have no CHANGED: say "
            "there what the second attempt changed, and why",
        )
    return said


def first_claims_of(system: str) -> Sequence[Claim]:
    """Return the claims of a recipe's first attempt, which a second may have changed."""
    found: Sequence[Claim] = getattr(_module(system), "FIRST_CLAIMS", claims_of(system))
    return found


def judged(system: str, runs: Runs, claims: Sequence[Claim] | None = None) -> dict[str, Any]:
    """Return whether a recipe passes over its runs, and what each of its claims was judged by.

    The claims are by default those of its last attempt. It passes if all hold that are in its
    source's smallest test, or a condition of it.
    """
    rows = []
    for claim in claims_of(system) if claims is None else claims:
        verdict = claim.judge(runs)
        row: dict[str, Any] = {"claim": claim.statement, "holds": verdict.holds}
        row["is_extra"] = claim.is_extra
        row["value"] = round(verdict.value, 4)
        if verdict.low is not None and verdict.high is not None:
            row["interval"] = [round(verdict.low, 4), round(verdict.high, 4)]
        rows.append(row)
    return {
        "passed": all(row["holds"] for row in rows if not row["is_extra"]),
        "held": sum(row["holds"] for row in rows),
        "seeds": sorted(run.seed for run in runs),
        "not_checked": getattr(_module(system), "NOT_CHECKED", ""),
        "claims": rows,
    }


def _module(system: str) -> ModuleType:
    return import_module(f"benchmarks.recipes.claims.{system}")
