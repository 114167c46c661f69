"""Compares balances between teachers, under both normalizations, on finished demos.

Each seed is a home folder of a finished ``provost demo --seed N``, as
``benchmarks.platform.demo_seeds`` makes them. Its released teachers and its fork point are
distilled anew once a case, and the student is scored on the demo's held-out prompts, with the same
noise in all cases. A case is kept as soon as it is done and is not run again; a round that is
killed goes on from its last state.

    python -m benchmarks.step.balance run --homes runs/seeds --seeds 0 1 2
    python -m benchmarks.step.balance table
"""

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import Row, load, write_whole
from lineage.artifacts import Artifact
from tasks.contracts.handover import Plan
from tasks.evaluate.cards import read_scorecard, score_consolidation
from tasks.evaluate.scores import STUDENT
from tasks.evaluate.settings import EvaluationSettings
from tasks.gate.plan import make_plan
from tasks.mopd.round import distil_round
from tasks.mopd.settings import Balance, BalanceSettings, DistilSettings, RoundSettings
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.platform.step_runner import StepRunner

SEQUENCE, TOKEN = Normalization.SEQUENCE_MEAN, Normalization.TOKEN_MEAN
CASES = [
    (Balance.NONE, SEQUENCE),
    (Balance.GAP, SEQUENCE),
    (Balance.DISPERSION, SEQUENCE),
    (Balance.NONE, TOKEN),
    (Balance.TOKEN_SHARE, TOKEN),
    (Balance.GAP, TOKEN),
    (Balance.DISPERSION, TOKEN),
]
"""Token share is refused under the mean over sequences, which is a token share already."""
LAST_STEPS = 20
"""Of the course, over which divergences and shares are averaged."""


def main() -> None:
    """Run what is not in the results yet, or show them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("--homes", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=120, help="of MOPD; the demo's are 120")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--results", type=Path, default=RESULTS / "balance.json")
    parser.add_argument("--only", nargs="+", help="cases by name, such as gap/token_mean")
    told = parser.parse_args()
    if told.action == "run":
        for seed in told.seeds:
            for balance, normalization in CASES:
                _run_if_missing(told, seed, balance, normalization)
    sys.stdout.write(table(_read(told.results)))


def _run_if_missing(
    told: argparse.Namespace, seed: int, balance: Balance, normalization: Normalization
) -> None:
    case = f"{balance.value}/{normalization.value}"
    name = f"{case}/{seed}"
    if (told.only and case not in told.only) or name in _read(told.results)["cases"]:
        return
    home = told.homes / str(seed)
    if not (home / "store").is_dir():
        raise SystemExit(
            f"{home} is no home of a finished demo: make it with "
            "`python -m benchmarks.platform.demo_seeds "
            f"--seeds {seed} --homes {told.homes}`, or name another folder with --homes"
        )
    os.environ["PROVOST_HOME"] = str(home.absolute())
    settings = RoundSettings(
        loop=LoopSettings(
            num_steps=told.steps, learning_rate=told.learning_rate, normalization=normalization
        ),
        distil=DistilSettings(balance=BalanceSettings(rule=balance)),
    )
    found = _case(settings, seed)
    results = _read(told.results)  # again: another process may have added a case meanwhile
    results["cases"][name] = found | {"steps": told.steps, "learning_rate": told.learning_rate}
    write_whole(told.results, results)


def _case(settings: RoundSettings, seed: int) -> dict[str, object]:
    """Distil and score one student."""
    runner = StepRunner()
    plan = _demo_plan(runner)
    started = time.monotonic()
    student = distil_round(runner, plan, settings, seed)
    seconds = time.monotonic() - started
    stored = score_consolidation(runner, plan, student, {}, EvaluationSettings())
    card = read_scorecard(runner, stored)
    normalized = {
        domain: scores.normalized[STUDENT].model_dump()
        for domain, scores in card.everything().items()
    }
    return {
        "normalized": normalized,
        "course": _course(runner, student, settings.loop.num_steps),
        "seconds": round(seconds, 1),
        "circumstances": facts(),
    }


def _demo_plan(runner: StepRunner) -> Plan:
    names = ("math", "code", "agent", "instruct")
    return make_plan(runner, [f"{name}@released" for name in names], "fork-point@released")


def _course(runner: StepRunner, student: Artifact, num_steps: int) -> dict[str, float]:
    """Return what the last steps of a round measured of each teacher, on average."""
    attestation = runner.records.output(student.record)
    assert attestation is not None
    values = defaultdict(list)
    for line in runner.store.get_bytes(attestation.metrics).splitlines():
        row = json.loads(line)
        if num_steps - LAST_STEPS < row["step"] <= num_steps and row["name"].startswith(
            ("kl/", "token_share/", "loss_share/", "gradient_share/", "balance/")
        ):
            values[row["name"]].append(float(row["value"]))
    return {name: fmean(numbers) for name, numbers in sorted(values.items())}


def table(results: Row) -> str:
    """Return the normalized score of each case over seeds, overall and by domain, as Markdown."""
    by_case = defaultdict(list)
    for name, found in results["cases"].items():
        case, _, _ = name.rpartition("/")
        by_case[case].append(found["normalized"])
    if not by_case:
        return "no case has been run yet\n"
    domains = sorted(next(iter(by_case.values()))[0], key=lambda domain: domain != "overall")
    lines = [
        "| balance / normalization | seeds | " + " | ".join(domains) + " |",
        "|---" * (2 + len(domains)) + "|",
    ]
    lines += [
        f"| {case} | {len(found)} | {_row(found, domains)} |" for case, found in _best(by_case)
    ]
    return "\n".join(lines) + "\n"


def _best(by_case: dict[str, list[Row]]) -> Iterator[tuple[str, list[Row]]]:
    yield from sorted(by_case.items(), key=lambda item: -_mean(item[1], "overall"))


def _row(found: list[Row], domains: list[str]) -> str:
    cells = []
    for domain in domains:
        means = [scores[domain]["mean"] for scores in found if scores[domain]["mean"] is not None]
        spread = f" ± {stdev(means):.3f}" if len(means) > 1 else ""
        cells.append(f"{fmean(means):.3f}{spread}" if means else "-")
    return " | ".join(cells)


def _mean(found: list[Row], domain: str) -> float:
    return fmean(scores[domain]["mean"] or 0.0 for scores in found)


def _read(path: Path) -> Row:
    return load(path, {"cases": {}})


if __name__ == "__main__":
    main()
