"""What a remedy recovers: cases that lost much although their teacher has something to teach."""

import sys
from pathlib import Path

import gate
from _gate_mismatch import Family, foreign_fork, sibling_fork
from _gate_outcome import merged, reference_scores
from _gate_verdicts import LOST, baseline, share

from lineage.artifacts import Artifact, Release, put_manifest, read_manifest
from tasks.handover import Cure, Gated, PlannedTeacher, TeacherVerdict, Verdict
from tasks.sft.settings import WarmUpSettings
from tasks.sft.warm_up import warm_up_student

LEAST_GAIN = 0.1


def run_remedies(results: Path, family: Family, seed: int) -> None:
    """Try every remedy on every case of a family that needs one."""
    found = gate.read(results)
    fits, references = baseline(found["cases"]), reference_scores(family)
    for name, case in found["cases"].items():
        outcome = case["outcome"]
        helpless = outcome["teacher"] - outcome["start"] < LEAST_GAIN
        if case["seed"] != seed or helpless or share(case, fits) >= 1 - LOST:
            continue
        own = family.teacher(case["domain"])
        chosen = gate.Case(seed, case["kind"], case["domain"], case["level"])
        checkpoint = gate.checkpoint_of(family, chosen, own)
        for remedy in ("warm-up", "delta"):
            key = f"{name} {remedy}"
            if key in gate.read(results)["remedies"]:
                continue
            after = _after(family, chosen, own, checkpoint, remedy, references)
            if after is None:
                continue
            whole = gate.read(results)
            whole["remedies"][key] = {
                "case": name,
                "remedy": remedy,
                "before": outcome["normalised"],
                "after": after,
                "recovered": (after - outcome["normalised"]) / (fits - outcome["normalised"]),
            }
            gate.write(results, whole)
            sys.stderr.write(f"{key}: {outcome['normalised']:.3f} to {after:.3f}\n")


def _after(
    family: Family,
    case: "gate.Case",
    own: PlannedTeacher,
    checkpoint: Artifact,
    remedy: str,
    references: dict[str, tuple[float, float]],
) -> float | None:
    if remedy == "warm-up":
        teacher = own.model_copy(update={"checkpoint": checkpoint})
        verdict = TeacherVerdict(
            name=own.name,
            domain=own.domain,
            verdict=Verdict.FITS_AFTER_REMEDY,
            done=Cure.WARM_UP,
        )
        plan = family.plan.model_copy(update={"teachers": [teacher]})
        gated = Gated(plan=plan, report=family.plan.artifact, teachers=[verdict])
        warmed = warm_up_student(family.bench, gated, WarmUpSettings(), 0).student
        return merged(family, own, checkpoint, references, student=warmed).normalised
    precursor = _precursor(family, case)
    if precursor is None:
        return None
    release = read_manifest(family.bench.store, own.release.digest, Release)
    told = release.model_copy(update={"precursor": precursor, "checkpoint": checkpoint})
    digest = put_manifest(family.bench.store, told)
    delta = own.model_copy(update={"release": Artifact(kind="release", digest=digest)})
    changes = {"delta_teachers": [own.name]}
    return merged(family, delta, checkpoint, references, changes=changes).normalised


def _precursor(family: Family, case: "gate.Case") -> Artifact | None:
    if case.kind == "sibling SFT":
        return sibling_fork(family, case.level)
    return foreign_fork(family) if case.kind == "other base" else None
