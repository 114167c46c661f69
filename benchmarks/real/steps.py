"""The steps of the proof, in their order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.real.bench import Bench
from benchmarks.real.model import LICENSE, fetched
from benchmarks.real.own import student_name
from benchmarks.real.settings import (
    AUDIT,
    GATE,
    LEDGER_SEED,
    MERGE,
    OFF_POLICY_PROMPTS,
    PACKAGES,
    SEEDS,
    SFT,
    TEAMS,
    domain,
)

TRAINED = ("mopd", "warm_up")
"""Kinds of records whose time is the merge's own training; gate and evaluation are not."""


class MissingStepError(Exception):
    """A step comes before another that it needs."""


def model(bench: Bench) -> dict[str, Any]:
    """Fetch the model, convert it, register it as base and fork point; lock the graders."""
    folder = fetched(bench.home)
    for name in ("base", "fork-point"):
        words = ("checkpoint", "import", str(folder), "--as", name, "--license", LICENSE)
        bench.run("model", *words)
    for package in PACKAGES.values():
        bench.run("model", "teacher", "lock", package, "--no-deps")
    return {"teams": list(TEAMS)}


def team(bench: Bench, name: str) -> dict[str, Any]:
    """Climb: SFT, RL, release; then measure the supervised checkpoint too."""
    step = f"team_{name}"
    made = bench.run(step, "run", "teacher", PACKAGES[name], "--json")
    return {"verdict": made["verdict"], **bench.run(step, "climbed", name)}


def gate(bench: Bench) -> dict[str, Any]:
    """Ask the gate whether the teachers fit the fork point."""
    found = bench.run("gate", "gate", "--teachers", _teachers(bench), *GATE, "--json", refusal=True)
    return {name: found[name] for name in ("verdict", "scores", "warnings") if name in found}


def merge(bench: Bench, seed: int) -> dict[str, Any]:
    """Merge by MOPD; the same command makes average and task arithmetic, and scores all."""
    keeps = "--ledger-displacements" if seed == LEDGER_SEED else "--no-ledger-displacements"
    name = student_name(seed)
    words = ("run", "consolidation", "--teachers", _teachers(bench), "--publish-as", name)
    made = bench.run(f"merge_{seed}", *words, *MERGE, keeps, "--seed", str(seed), "--json")
    return {"verdict": made["verdict"], "digest": made["digest"], "scores": made["scores"]}


def off_policy(bench: Bench, seed: int) -> dict[str, Any]:
    """Train the fork point on the teachers' graded answers for the merge's processor time."""
    budget = training_seconds(_account(bench, f"merge_{seed}"))
    teams = [_account(bench, f"team_{name}") for name in TEAMS]
    steps = equal_steps(budget, teams)
    made = bench.run(f"off_policy_{seed}", "off-policy", str(seed), str(steps))
    return {**made, "budget_seconds": budget}


def scorecard(bench: Bench, seed: int) -> dict[str, Any]:
    """Score fork point, teachers, student and all controls on the same held-out prompts."""
    steps = _figures(bench, f"off_policy_{seed}")["steps_per_teacher"]
    return bench.run(f"scorecard_{seed}", "scorecard", str(seed), str(steps))


def audit(bench: Bench) -> dict[str, Any]:
    """Audit the student whose ledger has displacements, and verify its lineage."""
    student = f"student.{student_name(LEDGER_SEED)}@latest"
    made = bench.run("audit", "audit", student, *AUDIT, "--json")
    verified = bench.run("audit", "lineage", "verify", student, "--json", refusal=True)
    return {
        "verdict": made["verdict"],
        "scores": made["scores"],
        "warnings": made.get("warnings", []),
        "verified": {
            name: value for name, value in verified.items() if isinstance(value, int | str | bool)
        },
    }


STEPS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "model": model,
    "team": team,
    "gate": gate,
    "merge": merge,
    "off_policy": off_policy,
    "scorecard": scorecard,
    "audit": audit,
}


def order() -> list[str]:
    """Return the names of all rows, in the order of the proof."""
    merged = [f"{step}_{seed}" for seed in SEEDS for step in ("merge", "off_policy", "scorecard")]
    return ["model", *(f"team_{name}" for name in TEAMS), "gate", *merged, "audit"]


def training_seconds(spent: Mapping[str, float]) -> float:
    """Return the processor seconds of a merge's training."""
    return round(sum(spent.get(kind, 0.0) for kind in TRAINED), 1)


def equal_steps(budget: float, teams: Sequence[Mapping[str, float]]) -> int:
    """Return the SFT steps for each teacher that take, with all answers, as long as the merge.

    A step is as long as one of the climbs' own SFT, whose batch and lengths are the same. Answering
    is as long as the climbs' evaluations, prompt by prompt: each measured the fork point, the
    supervised checkpoint and the teacher.

    Raises:
        MissingStepError: if answering alone takes longer.
    """
    step = sum(spent["sft"] for spent in teams) / len(teams) / SFT.num_steps
    answered = 3 * domain(TEAMS[0]).num_evaluation
    answering = OFF_POLICY_PROMPTS * sum(spent["evaluation"] for spent in teams) / answered
    steps = int((budget - answering) / step / len(teams))
    if steps < 1:
        raise MissingStepError(
            f"the merge trained for {budget:g} s, and answering takes {answering:.0f} s: lower "
            "OFF_POLICY_PROMPTS"
        )
    return steps


def _teachers(bench: Bench) -> str:
    return ",".join(_figures(bench, f"team_{name}")["reference"] for name in TEAMS)


def _figures(bench: Bench, step: str) -> dict[str, Any]:
    row = bench.row(step)
    if not row:
        raise MissingStepError(f"{step} has no row: finish it first")
    found: dict[str, Any] = row["figures"]
    return found


def _account(bench: Bench, step: str) -> dict[str, float]:
    _figures(bench, step)
    found: dict[str, float] = bench.row(step)["processor_seconds"]
    return found
