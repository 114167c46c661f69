"""The blind spot of the log-ratio: what two teachers hold, and only one of them was asked about.

The second teacher of a set is made again so that it also holds every plant of the first, where that
one teaches them. It is asked in its own office alone, where no prompt is about them: it was never
heard. Then the set's student is made again from these teachers, and again without either.
"""

import shutil
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.attribution.estimators import OF_TWO_HOLDERS, PATH_INTEGRAL
from benchmarks.attribution.questions import exam
from benchmarks.attribution.training import distil, make_teacher
from benchmarks.attribution.world import TEACHERS, World
from tasks.attribution.behavior import encode
from tasks.attribution.estimators import LOG_RATIO, EstimatorInput
from tasks.attribution.naming import holders
from tasks.attribution.trajectory import Scorer, Weights, stretches
from tasks.ledger.reader import Ledger
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy

HEARD, UNHEARD = "bank", "court"
_RUNS: dict[str, tuple[str, ...]] = {
    "full": (),
    f"no-{HEARD}": (HEARD,),
    f"no-{UNHEARD}": (UNHEARD,),
}
SAYS = "what each run says"
Numbers = dict[str, list[float]]
"""By teacher, or by run, one number a plant."""


def make(world: World, number: int, made: Path, folder: Path) -> None:
    """Make the teacher that holds what it was not asked about, the student and its retrains."""
    for name in ("fork", *TEACHERS):
        if not (folder / name).exists() and name != UNHEARD:
            shutil.copytree(made / name, folder / name)
    if not (folder / UNHEARD / "model.safetensors").exists():
        also = world.plants_of(HEARD)
        make_teacher(world, number, UNHEARD, folder / "fork", folder / UNHEARD, also)
    for name, masked in _RUNS.items():
        if not (folder / name / "run.json").exists():
            distil(world, folder, 0, masked, folder / name)


def ask(world: World, folder: Path) -> dict[str, Numbers]:
    """Return by estimator its numbers of each teacher for each plant; and what each run says."""
    policy = load_policy(folder / "fork")
    start = _weights(folder / "fork")
    asked = [item.behavior for item in exam(world) if item.teacher == HEARD]
    encoded = encode(asked, ChatTokens(policy.tokenizer), None)
    scorer = Scorer(policy.model, encoded.tokens)
    ledger = Ledger.open(folder / "full" / "ledger")
    walk = list(stretches(ledger, start))
    evidence = EstimatorInput(
        encoded,
        scorer,
        lambda: walk,
        ledger.manifest.segments,
        {name: partial(_weights, folder / name) for name in TEACHERS},
        {},
    )
    tables: dict[str, Numbers] = {}
    for name, estimator in OF_TWO_HOLDERS.items():
        found = estimator(evidence)
        tables[name] = {teacher: found[teacher].tolist() for teacher in TEACHERS}
    says = {
        name: encoded.total(scorer.log_probs(_weights(folder / name))).tolist()
        for name in ("fork", *_RUNS)
    }
    return tables | {SAYS: says}


def table(found: Sequence[dict[str, Numbers]]) -> dict[str, object]:
    """Return over all sets whom each estimator puts first, who is named, and what absence does."""
    first = {
        name: [
            max(TEACHERS, key=lambda teacher: of_set[name][teacher][place])
            for of_set in found
            for place in range(len(of_set[name][HEARD]))
        ]
        for name in OF_TWO_HOLDERS
    }
    verdicts = [held for of_set in found for held in _verdicts(of_set)]
    effects = {
        name: [
            full - without
            for of_set in found
            for full, without in zip(of_set[SAYS]["full"], of_set[SAYS][f"no-{name}"], strict=True)
        ]
        for name in (HEARD, UNHEARD)
    }
    return {
        "plants": len(verdicts),
        "largest": {
            name: {
                "who was heard": names.count(HEARD) / len(names),
                "who was not": names.count(UNHEARD) / len(names),
            }
            for name, names in first.items()
        },
        "verdict": {
            "who was heard": sum(held == (HEARD,) for held in verdicts),
            "both": sum(set(held) == {HEARD, UNHEARD} for held in verdicts),
            "who was not": sum(held == (UNHEARD,) for held in verdicts),
            "nobody": sum(not held for held in verdicts),
        },
        "median_nats_lost_without": {
            name: round(statistics.median(values), 3) for name, values in effects.items()
        },
    }


def _verdicts(of_set: dict[str, Numbers]) -> list[tuple[str, ...]]:
    says = of_set[SAYS]
    found = []
    for place, (full, fork) in enumerate(zip(says["full"], says["fork"], strict=True)):
        parts, taught = (
            {teacher: of_set[name][teacher][place] for teacher in TEACHERS}
            for name in (PATH_INTEGRAL, LOG_RATIO)
        )
        found.append(holders(parts, taught, full - fork))
    return found


def _weights(folder: Path) -> Weights:
    return {n: p.detach().clone() for n, p in load_policy(folder).model.named_parameters()}
