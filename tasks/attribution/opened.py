"""A student's models in memory, as audits read them, checked against its ledger.

The ledger of a student that trained adapters is of the adapters, so its weights are A and B, and
the model that is scored is the start with adapters in it. Whole models, such as teachers, are read
in the place of the start, with B at zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lineage.artifacts import Artifact
from lineage.records.record import Derivation
from tasks.attribution.subject import AuditedStudent
from tasks.attribution.trajectory import Weights, size_of
from tasks.contracts.refusal import RefusedError
from tasks.ledger.conservation import Conservation
from tasks.ledger.estimate import free_memory
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_model, load_policy
from tasks.model.lora import adapter_weights, add_adapter, load_adapter, merged_weights
from tasks.model.settings import AdapterSettings
from tasks.onpolicy.student_files import ADAPTER
from tasks.platform.ranks import rank_device
from tasks.platform.step_runner import StepRunner

_GIB = 1 << 30
_COPIES, _COPIES_OF_PART = 5.5, 2.5
"""Copies of the trained weights in memory at the peak of an audit, beside its models: in all, and
for each part of the ledger. With the weights of 135 M, 2 parts took 10.2 and 4 took 15.6."""
_COPIES_ON_GPU = 4
"""Copies of the weights that an audit has on an accelerator: the model, a point of the run, a
direction, and the hidden states along it."""
_MOST_MERGED_APART = {torch.float32: 1e-4, torch.bfloat16: 2.0**-7}
"""Most distance of a stored student from its start with the adapters merged, relative to the norm
of each of its parameters: what saving rounds away, and matrix products of another processor."""


@dataclass(frozen=True)
class Opened:
    """A subject's models in memory."""

    policy: Policy
    """The architecture that is scored, with the student's tokenizer and weights."""
    start: Weights
    end: Weights
    conservation: Conservation


def open_models(runner: StepRunner, subject: AuditedStudent) -> Opened:
    """Load the round's initial and final weights, after checking that the ledger matches them.

    Raises:
        RefusedError: ``audit-memory`` if the audit would not fit into this machine's memory.
        ValueError: if the ledger belongs to other weights, or does not add up.
    """
    policy, start, end = _read(runner, subject)
    _refuse_larger_than_memory(subject, start)
    conservation = subject.ledger.check(start, end)
    policy.model.float()  # scorers and surgery compute in fp32, in whatever it was saved
    # The model lends its architecture to the scorers; what it holds must not change with them.
    return Opened(policy, start, {n: t.clone().float() for n, t in end.items()}, conservation)


def placed(policy: Policy) -> Policy:
    """Return the policy that is scored, on this rank's accelerator where an audit fits there.

    Without that much room it stays in host memory, and its passes take their time.
    """
    device = rank_device()
    needed = _COPIES_ON_GPU * size_of(dict(policy.model.named_parameters()))
    fits = device.type != "cpu" and needed <= free_memory(device)
    return on_rank_device(policy) if fits else policy


def own_policy(runner: StepRunner, subject: AuditedStudent) -> Policy:
    """Return the student, after checking that its ledger matches it and its start.

    Raises:
        ValueError: if the ledger belongs to other weights.
    """
    policy, start, end = _read(runner, subject)
    subject.ledger.check_weights(start, end)
    if adapter_of(subject.derivation) is None:
        return policy
    return load_policy(runner.store.tree(subject.checkpoint.digest))


def load_weights(runner: StepRunner, checkpoint: Artifact) -> Weights:
    """Return a checkpoint's parameters by name, in fp32."""
    model = load_model(runner.store.tree(checkpoint.digest)).float()
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def adapter_of(derivation: Derivation) -> AdapterSettings | None:
    """Return the settings of the adapters that a round trained; None if it trained all weights."""
    loop = derivation.settings.get("loop")
    adapter = loop.get("adapter") if isinstance(loop, dict) else None
    return AdapterSettings.model_validate(adapter) if adapter else None


def _read(runner: StepRunner, subject: AuditedStudent) -> tuple[Policy, Weights, Weights]:
    """Return the policy that is scored, and the trained weights at the start and at the end."""
    folder = runner.store.tree(subject.checkpoint.digest)
    student, adapter = load_policy(folder), adapter_of(subject.derivation)
    stored = {name: tensor.detach() for name, tensor in student.model.named_parameters()}
    if adapter is None:
        return student, load_weights(runner, subject.start), stored
    # As the round loaded it: the drawn A takes the precision of the start's files.
    model = load_model(runner.store.tree(subject.start.digest))
    add_adapter(model, adapter)
    start = {name: tensor.float().clone() for name, tensor in adapter_weights(model).items()}
    model.float()
    load_adapter(model, folder / ADAPTER, is_added=True)
    _refuse_other_merge(subject.reference, merged_weights(model), stored)
    return Policy(model, student.tokenizer), start, adapter_weights(model)


def _refuse_larger_than_memory(subject: AuditedStudent, start: Weights) -> None:
    """Raise RefusedError if integrating takes more memory than there is beside the models."""
    parts = max((len(segment.norms) for segment in subject.ledger.manifest.segments), default=0)
    needed = (_COPIES + _COPIES_OF_PART * parts) * size_of(start)
    free = free_memory(torch.device("cpu"))
    if needed > free:
        raise RefusedError(
            "audit-memory",
            f"the audit of {subject.reference!r} needs {needed / _GIB:.1f} GiB of host memory "
            f"beside its models, because it holds its weights several times for each of {parts} "
            f"parts; {free / _GIB:.1f} GiB are free: run it on a larger host (stage audit of the "
            "flavor), or train adapters (loop.adapter), whose ledger is small",
        )


def _refuse_other_merge(reference: str, merged: Weights, stored: Mapping[str, Tensor]) -> None:
    """Raise RefusedError unless a student is its start with its adapters merged."""
    for name, tensor in stored.items():
        apart = (merged[name] - tensor.float()).norm() / merged[name].norm().clamp(min=1e-12)
        if not apart <= _MOST_MERGED_APART.get(tensor.dtype, 1e-4):
            raise RefusedError(
                "other-weights",
                f"the weights {name} of {reference!r} are not those of its start with its adapters "
                f"merged: they differ by {float(apart):.2g} of their norm. The ledger of the "
                "adapters says nothing about them; find what made this student with `provost "
                "lineage show`",
            )
