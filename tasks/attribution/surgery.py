"""Surgery: removes or reweights a teacher in a student, by the ledger and within seconds.

    w(x) = w_end + sum over sources s of (x_s - 1) * (sum over segments of D_k[s])

It removes the contribution of a source's updates. The other updates stay as they were computed in
its presence, including their repairs and interference. So it is not a retrain, and its record says
so.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.attribution.opened import Opened, adapter_of, open_models
from tasks.attribution.subject import AuditedStudent, find_subject
from tasks.attribution.trajectory import Weights
from tasks.contracts.refusal import RefusedError
from tasks.ledger.reader import Ledger
from tasks.ledger.segment_file import DTYPES
from tasks.ledger.split_adamw import RESERVED
from tasks.model.files import Policy, load_policy, save_policy
from tasks.model.lora import adapter_weights, merged_weights
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner


def scale_teachers(runner: StepRunner, student: str, weights: Mapping[str, float]) -> Artifact:
    """Return a student with reweighted sources, as a recorded checkpoint.

    Args:
        runner: Runs and records the step.
        student: A reference to a student with a ledger.
        weights: Source to its new weight; 0 removes it, 1 keeps it.

    Raises:
        ValueError: for unknown sources, or weights that change nothing.
    """
    subject = find_subject(runner, student)
    refuse_unknown(weights, subject.ledger.parts)
    if all(weight == 1 for weight in weights.values()):
        raise RefusedError(
            "nothing-changed",
            "every weight is 1, so nothing would change: set at least one weight to another value",
        )
    derivation = Derivation(
        project=runner.project,
        kind="surgery",
        inputs=(
            Input.of("student", subject.checkpoint),
            Input.of("ledger", subject.ledger_artifact),
        ),
        source=source_digest("attribution"),
        settings={"weights": dict(weights)},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        report("surgery", 0, 1, message=str(dict(weights)))
        models, saved = open_models(runner, subject), subject.ledger.manifest.saved
        end = subject.ledger.trained_end(models.start) if saved else models.end
        policy, whole = _merged(runner, subject, models, reweighed(end, subject.ledger, weights))
        kept = next(policy.model.parameters()).dtype
        if policy is models.policy:
            kept = DTYPES[saved.precision] if saved else torch.float32
        for name, parameter in policy.model.named_parameters():
            parameter.data = whole[name].to(kept)
        measurements.notes["saved"] = {
            "precision": "fp32" if kept is torch.float32 else "bf16",
            "rounding": _rounding(whole, dict(policy.model.named_parameters())),
        }
        return save_policy(policy, folder / "model")

    return runner.find_or_make(derivation, "checkpoint", make, owner="consolidation")


@torch.no_grad()
def _merged(
    runner: StepRunner, subject: AuditedStudent, models: Opened, changed: Weights
) -> tuple[Policy, Weights]:
    """Return the policy to save, as it was stored, and its new weights; adapters are merged."""
    if adapter_of(subject.derivation) is None:
        return models.policy, changed
    for name, tensor in adapter_weights(models.policy.model).items():
        tensor.copy_(changed[name])
    student = load_policy(runner.store.tree(subject.checkpoint.digest))
    return student, merged_weights(models.policy.model)


def reweighed(end: Weights, ledger: Ledger, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Return the weights of a student with each source's displacements scaled."""
    changed = {name: tensor.clone() for name, tensor in end.items()}
    for segment in ledger.manifest.segments:
        for source, weight in weights.items():
            for name, moved in ledger.displacement(segment, source).items():
                changed[name] += (weight - 1) * moved
    return changed


@torch.no_grad()
def _rounding(weights: Weights, saved: Weights) -> float:
    """Return the norm of what saving rounds away, relative to that of the weights."""
    pairs = [(weights[name].double(), tensor.double()) for name, tensor in saved.items()]
    lost = sum(float((whole - rounded).square().sum()) for whole, rounded in pairs)
    return math.sqrt(lost / sum(float(whole.square().sum()) for whole, _ in pairs))


def refuse_unknown(named: Mapping[str, float], parts: list[str]) -> None:
    """Raise ValueError for names that are not sources of a ledger, or non-finite weights."""
    sources = [part for part in parts if part not in RESERVED]
    unknown = sorted(set(named) - set(sources))
    if not named:
        raise RefusedError(
            "no-weights", f"no weight was given: name at least one of the sources {sources}"
        )
    if unknown:
        raise RefusedError(
            "unknown-source",
            f"{unknown} cannot be reweighed: the sources of this student's ledger are {sources}",
        )
    endless = sorted(name for name, weight in named.items() if not math.isfinite(weight))
    if endless:
        raise RefusedError(
            "weight-not-finite",
            f"the weights of {endless} are not finite numbers: 0 removes a source, 1 keeps it",
        )
