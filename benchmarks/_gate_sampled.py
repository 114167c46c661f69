"""The same cases by the sampled-token objective, and what remedies do for those that lose there.

The exact divergence teaches every word at every position, also those that the student never says;
the sampled-token form teaches only what it says, which is where foreign teachers lose.
"""

import sys
from pathlib import Path

import gate
from _gate_mismatch import Family, foreign_fork, sibling_fork
from _gate_outcome import LEAST_GAIN, Outcome, merged, reference_scores

from lineage.artifacts import Artifact, Release, put_manifest, read_manifest
from tasks.handover import Cure, Gated, PlannedTeacher, TeacherVerdict, Verdict, WarmUpSettings
from tasks.mopd.settings import Divergence
from tasks.rollout.settings import SamplingSettings
from tasks.sft.warm_up import warm_up_student

SAMPLED = {"divergence": Divergence.SAMPLED_TOKEN}
FOREIGN = {"SFT teacher", "other base", "sibling SFT", "over-trained"}
REMEDIES = ("warm-up", "delta")
Row = dict[str, object]


def run_sampled(results: Path, family: Family, seed: int) -> None:
    """Merge by the sampled token what has something to teach; then again with each remedy."""
    references = reference_scores(family)
    for name, case in gate.read(results)["cases"].items():
        outcome = case["outcome"]
        helpless = outcome["teacher"] - outcome["start"] < LEAST_GAIN
        if case["seed"] != seed or helpless or case["kind"] == "noise":
            continue
        own = family.teacher(case["domain"])
        chosen = gate.Case(seed, case["kind"], case["domain"], case["level"])
        checkpoint = gate.checkpoint_of(family, chosen, own)
        if name not in gate.read(results)["sampled"]:
            found = merged(family, own, checkpoint, references, changes=SAMPLED)
            _keep(results, "sampled", name, vars(found))
        for remedy in REMEDIES if case["kind"] in FOREIGN else ():
            key = f"{name} {remedy}"
            if key in gate.read(results)["remedies"]:
                continue
            after = _remedied(family, chosen, own, checkpoint, remedy, references)
            if after is not None:
                _keep(results, "remedies", key, {"case": name, "remedy": remedy} | vars(after))


def _keep(results: Path, part: str, key: str, row: Row) -> None:
    whole = gate.read(results)
    whole[part][key] = row
    gate.write(results, whole)
    sys.stderr.write(f"{part} {key}: {row['normalised']:.3f}\n")


def _remedied(
    family: Family,
    case: "gate.Case",
    own: PlannedTeacher,
    checkpoint: Artifact,
    remedy: str,
    references: dict[str, tuple[float, float]],
) -> Outcome | None:
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
        warmed = warm_up_student(
            family.bench, gated, WarmUpSettings(), SamplingSettings(), 0
        ).student
        return merged(family, own, checkpoint, references, student=warmed, changes=SAMPLED)
    precursor = _precursor(family, case)
    if precursor is None:
        return None
    release = read_manifest(family.bench.store, own.release.digest, Release)
    told = release.model_copy(update={"precursor": precursor, "checkpoint": checkpoint})
    digest = put_manifest(family.bench.store, told)
    delta = own.model_copy(update={"release": Artifact(kind="release", digest=digest)})
    changes = SAMPLED | {"delta_teachers": [own.name]}
    return merged(family, delta, checkpoint, references, changes=changes)


def _precursor(family: Family, case: "gate.Case") -> Artifact | None:
    if case.kind == "sibling SFT":
        return sibling_fork(family, case.level)
    return foreign_fork(family) if case.kind == "other base" else None
