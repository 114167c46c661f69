"""What remedies bring back of what teachers lost: warm-up, delta target, staged ladder."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from benchmarks.common.results import Row, write_whole
from benchmarks.gate import cases as gate
from benchmarks.gate.conventions import CONVENTIONS, RUNGS
from benchmarks.gate.mismatch import Family, foreign_fork, sibling_fork
from benchmarks.gate.outcome import LEAST_GAIN, Otherwise, Outcome, merged
from benchmarks.gate.shares import SAME, baseline, share
from benchmarks.gate.verdicts import LEAST_LOST
from lineage.artifacts import Artifact, Release, Rung, put_manifest, read_manifest
from lineage.records.record import Input
from tasks.contracts.handover import Gated, PlannedTeacher, Remedy, TeacherVerdict, Verdict
from tasks.contracts.remedies import WarmUpSettings
from tasks.gate.plan import store_plan
from tasks.rollout.settings import SamplingSettings
from tasks.sft.warm_up import warm_up_student

WARM_UP, DELTA, LADDER = "warm-up", "delta", "ladder"
REMEDIES = (WARM_UP, DELTA, LADDER)


@dataclass(frozen=True)
class Patient:
    """A teacher that lost something, with what a remedy needs of it."""

    family: Family
    case: "gate.Case"
    own: PlannedTeacher
    checkpoint: Artifact

    def remedied(self, remedy: str, objective: Mapping[str, object]) -> Outcome | None:
        """Merge with one of ``REMEDIES``; None where this teacher has not what it needs."""
        own, otherwise = self.own, Otherwise(objective=objective)
        if remedy == WARM_UP:
            otherwise = replace(otherwise, student=self._warmed())
        elif remedy == LADDER and _of_convention(self.case):
            own = own.model_copy(update={"ladder": self._ladder()})
            otherwise = replace(otherwise, stages=len(own.ladder))
        elif remedy == DELTA and (precursor := self._precursor()):
            own = own.model_copy(update={"release": self._released_after(precursor)})
            objective = {**objective, "delta_teachers": [own.name]}
            otherwise = replace(otherwise, objective=objective)
        else:
            return None
        return merged(self.family, own, self.checkpoint, otherwise)

    def _warmed(self) -> Artifact:
        verdict = TeacherVerdict(
            name=self.own.name,
            domain=self.own.domain,
            verdict=Verdict.FITS_AFTER_REMEDY,
            done=Remedy.WARM_UP,
        )
        teacher = self.own.model_copy(update={"checkpoint": self.checkpoint})
        # One cycle: what the committed figures measured.
        settings = WarmUpSettings(most_cycles=1)
        gated = gated_with(self.family, [teacher], verdict)
        return warm_up_student(self.family.runner, gated, settings, SamplingSettings(), 0).student

    def _ladder(self) -> list[Rung]:
        rungs = gate.rungs_of(self.family, self.case, self.own)
        steps = accumulate(RUNGS)
        return [Rung(step=step, checkpoint=rung) for step, rung in zip(steps, rungs, strict=True)]

    def _released_after(self, precursor: Artifact) -> Artifact:
        """Return a release of the teacher that names what it was trained from."""
        store = self.family.runner.store
        release = read_manifest(store, self.own.release.digest, Release)
        told = release.model_copy(update={"precursor": precursor, "checkpoint": self.checkpoint})
        return Artifact(kind="release", digest=put_manifest(store, told))

    def _precursor(self) -> Artifact | None:
        """Return what the teacher was trained from, where that is not the student's own start."""
        if self.case.kind == "sibling SFT":
            return sibling_fork(self.family, self.case.level)
        return foreign_fork(self.family) if "other base" in self.case.kind else None


def gated_with(
    family: Family, teachers: Sequence[PlannedTeacher], verdict: TeacherVerdict
) -> Gated:
    """Return a stored plan of some teachers, with the gate's verdict on one of them."""
    plan = family.plan.model_copy(update={"teachers": list(teachers), "artifact": None})
    # A plan is found by its releases, but here other checkpoints are in their places.
    replaced = [
        Input.of(role, part, teacher.name)
        for teacher in teachers
        for role, part in (("teacher", teacher.checkpoint), ("grader", teacher.environment))
    ]
    stored = store_plan(family.runner, plan, after=replaced)
    plan = plan.model_copy(update={"artifact": stored})
    return Gated(plan=plan, report=stored, teachers=[verdict])


def _of_convention(case: "gate.Case") -> bool:
    return case.kind.removesuffix(gate.OTHER_BASE) in CONVENTIONS


def run_remedies(results: Path, homes: Path) -> None:
    """Merge again, by the exact divergence, what had something to teach and lost of it."""
    found = gate.read(results)["cases"]
    for remedy in REMEDIES:
        for name in _patients(found):
            key, row = f"{name} {remedy}", found[name]
            if key in gate.read(results)["cured"]:
                continue
            family = gate.family_at(homes, row["seed"])
            case = gate.Case(row["seed"], row["kind"], row["domain"], row["level"])
            own = family.teacher(case.domain)
            patient = Patient(family, case, own, gate.checkpoint_of(family, case, own))
            after = patient.remedied(remedy, {})
            if after is not None:
                keep(results, "cured", key, {"case": name, "remedy": remedy} | vars(after))


def _patients(cases: Mapping[str, Row]) -> list[str]:
    """Return the cases with something to recover, those that lost most first."""
    fits = baseline(cases)
    kept = {
        name: share(row, fits)
        for name, row in cases.items()
        if row["kind"] != SAME and row["outcome"]["teacher"] - row["outcome"]["start"] >= LEAST_GAIN
    }
    return sorted((name for name in kept if kept[name] < 1 - LEAST_LOST), key=lambda n: kept[n])


def keep(results: Path, part: str, key: str, row: Row) -> None:
    """Add a row to the results on disk."""
    whole = gate.read(results)
    whole[part][key] = row
    write_whole(results, whole)
    sys.stderr.write(f"{part} {key}: {row['normalized']:.3f}\n")
