"""Asks every estimator about every behavior of one student, and its retrains for the truth.

Shapes: B behaviors, N response tokens of them together.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from benchmarks.attribution.estimators import ASKED
from benchmarks.attribution.questions import Asked, questions
from benchmarks.attribution.standins import StandIns
from benchmarks.attribution.training import (
    LOOP,
    REPAIR,
    SAMPLING,
    SHORT,
    Round,
    learn,
    objective_of,
)
from benchmarks.attribution.world import OFFICES, TEACHERS, World, masks
from tasks.attribution.behavior import encode
from tasks.attribution.estimators import EstimatorInput
from tasks.attribution.path_integral import allocate
from tasks.attribution.trajectory import Scorer, Stretch, Weights, stretches
from tasks.ledger.reader import Ledger
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy
from tasks.onpolicy.kept_rollouts import KeptRollouts, UncorrectedRollouts, recompute_settings
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.recompute import recompute_displacements, recompute_without, segment_boundaries

Table = dict[str, list[float]]
"""By teacher, one number for each behavior."""
FULL = "full"


class Asking:
    """One student of one set, with its fork point, teachers, ledger and retrains."""

    def __init__(self, number: int, seed: int, folder: Path) -> None:
        """Open what ``train`` left in a set's folder."""
        self.folder, self.runs = folder, folder / f"seed-{seed}"
        self._number, self._world, self._seed = number, World(number), seed
        self._fork = load_policy(folder / "fork")
        self._start = _weights(folder / "fork")
        self._chat = ChatTokens(self._fork.tokenizer)
        # The first seed's student says what the others are asked about too.
        first = load_policy(folder / "seed-0" / FULL)
        self.asked: list[Asked] = questions(self._world, first)
        self._encoded = encode([item.behavior for item in self.asked], self._chat, None)
        self._scorer = Scorer(load_policy(folder / "fork").model, self._encoded.tokens)
        self._ledger = Ledger.open(self.runs / FULL / "ledger")
        self._checkpoints = segment_boundaries(self._ledger, self._start)
        self._stand_ins = StandIns(
            self._world, load_policy(folder / "fork"), self._encoded, self._ledger
        )

    def says(self, weights: Weights) -> Tensor:
        """Return the log-probability of each behavior [B]."""
        return self._encoded.total(self._scorer.log_probs(weights))

    def truth(self) -> dict[str, dict[str, list[float]]]:
        """Return by retrain what it says of each behavior, beside the fork point and student."""
        found = {
            run.name: _rounded(self.says(_weights(run)))
            for run in sorted(self.runs.iterdir())
            if (run / "run.json").exists()
        }
        return {"says": found | {"fork": _rounded(self.says(self._start))}}

    def estimates(self) -> dict[str, object]:
        """Return by estimator its number for each teacher and behavior, and its seconds."""
        evidence = EstimatorInput(
            self._encoded,
            self._scorer,
            self._walk,
            self._ledger.manifest.segments,
            {name: self._teacher(name) for name in TEACHERS},
            {office: teachers[0] for office, teachers in OFFICES.items() if len(teachers) == 1},
        )
        tables: dict[str, Table] = {}
        seconds: dict[str, float] = {}
        for estimator, estimate in ASKED.items():
            with _Clock(seconds, estimator):
                found = estimate(evidence)
            tables[estimator] = {name: _rounded(found[name]) for name in TEACHERS}
        residuals = {}
        for name, walk in (("path integral", self._walk), ("replayed integral", self._replayed)):
            with _Clock(seconds, name):
                allocation = allocate(self._scorer, self._encoded, walk())
            tables[name] = {t: _rounded(allocation.behaviors(t)) for t in TEACHERS}
            residuals[name] = _rounded(allocation.residual)
        return {"tables": tables, "seconds": seconds, "residuals": residuals}

    def rehearsals(self) -> dict[str, object]:
        """Return what rehearsals say, by who is masked, and how well stand-ins do."""
        says: Table = {}
        seconds: dict[str, float] = {}
        apart: dict[str, object] = {}
        student = _weights(self.runs / FULL)
        for name, masked in masks(self._number):
            with _Clock(seconds, name):
                weights = recompute_without(self._learner(), self._kept_without(masked))
            says[name] = _rounded(self.says(weights))
            if len(masked) == 1:
                truth, another = retrains(self.folder, self._seed, name)
                others = {"a rehearsal": weights, "a retrain of another seed": _weights(another)}
                apart[name] = self._stand_ins.compare(masked[0], _weights(truth), others, student)
        return {"says": says, "seconds": seconds, "stand_ins": apart}

    def shorts(self) -> dict[str, object]:
        """Return what retrains say that are shorter, and students cut and trained on for a while.

        Both sample anew, as a retrain does. The second begin where surgery ends.
        """
        student = _weights(self.runs / FULL)
        found: dict[str, dict[str, list[float]]] = {"short": {}, "repair": {}}
        seconds: dict[str, float] = {}
        for name, masked in ((FULL, ()), *((f"no-{t}", (t,)) for t in TEACHERS)):
            cut = self._stand_ins.without(student, masked[0]) if masked else student
            for kind, start, length in (
                ("short", self._start, SHORT),
                ("repair", cut, REPAIR),
            ):
                policy = load_policy(self.folder / "fork")
                policy.model.load_state_dict(dict(start), strict=False)
                with _Clock(seconds, f"{kind} {name}"):
                    learn(self._world, self.folder, policy, Round(self._seed, masked, length))
                weights = {n: p.detach() for n, p in policy.model.named_parameters()}
                found[kind][name] = _rounded(self.says(weights))
        return {"says": found, "seconds": seconds}

    def cost(self) -> dict[str, object]:
        """Return processor seconds of a retrain and of what may stand in for it, and bytes."""
        seconds = {}
        alone = self.asked[0].behavior
        encoded = encode([alone], self._chat, None)

        def retrain() -> None:
            policy = load_policy(self.folder / "fork")
            learn(self._world, self.folder, policy, Round(self._seed, (TEACHERS[0],)))

        def audit() -> None:
            allocate(self._scorer.on(encoded.tokens), encoded, self._walk())

        def replay() -> None:
            list(self._replayed())

        for name, work in (
            ("retrain without a teacher", retrain),
            ("rehearsal without a teacher", self._rehearse_once),
            ("replay of all segments", replay),
            ("path integral of one behavior", audit),
        ):
            started = time.process_time()
            work()
            seconds[name] = round(time.process_time() - started, 2)
        ledger = self.runs / FULL / "ledger"
        return {
            "processor_seconds": seconds,
            "bytes": {
                "displacements": sum(f.stat().st_size for f in ledger.glob("segment-*")),
                "kept rollouts": (ledger / "rollouts.jsonl").stat().st_size,
                "model": (self.runs / FULL / "model.safetensors").stat().st_size,
            },
        }

    def _rehearse_once(self) -> None:
        recompute_without(self._learner(), self._kept_without((TEACHERS[0],)))

    def _walk(self) -> "list[Stretch]":
        return list(stretches(self._ledger, self._start))

    def _replayed(self) -> "list[Stretch]":
        kept = KeptRollouts(objective_of(self.folder, ()), self._ledger)
        walk = recompute_displacements(self._ledger, self._checkpoints, self._learner(), kept)
        return [Stretch(found.segment, found.start, found.parts) for found in walk]

    def _learner(self) -> Learner:
        model = load_policy(self.folder / "fork").model
        settings = recompute_settings(LOOP)
        return Learner(
            model, settings, SAMPLING.temperature, self._chat.pad_id, list(TEACHERS), record=True
        )

    def _kept_without(self, masked: tuple[str, ...]) -> UncorrectedRollouts:
        return UncorrectedRollouts(objective_of(self.folder, ()), self._ledger, masked)

    def _teacher(self, name: str) -> Callable[[], Weights]:
        return lambda: _weights(self.folder / name)


def retrains(folder: Path, seed: int, name: str) -> tuple[Path, Path]:
    """Return the retrain that substitutes are compared with, and another one to compare them by.

    The student and its rehearsal have ``seed``, so the truth has the other seed: a substitute must
    not share rollouts, prompts or random numbers with the truth where its yardstick does not.
    """
    return folder / f"seed-{seed + 1}" / name, folder / f"seed-{seed}" / name


class _Clock:
    """Adds the seconds that a block took."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = round(time.perf_counter() - self._started, 2)


def _weights(folder: Path) -> Mapping[str, Tensor]:
    return {n: p.detach().clone() for n, p in load_policy(folder).model.named_parameters()}


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]
