"""Short rounds of a real model, each with its ledger checked, its audit, and surgery.

Two teachers of a few supervised steps, one round for each learning rate and precision.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.process import resident
from benchmarks.ledger.segments import segment_cost
from lineage.artifacts import Artifact, Rung
from lineage.operations.verify import Verifier
from lineage.store.store import open_store
from tasks.attribution.audit import explain
from tasks.attribution.behavior import Behavior, Said
from tasks.attribution.opened import Opened, open_models
from tasks.attribution.subject import AuditedStudent, find_subject
from tasks.attribution.surgery import scale_teachers
from tasks.contracts.handover import DomainSettings, Plan, PlannedTeacher, StageLabel
from tasks.contracts.refusal import RefusedError
from tasks.ledger.conservation import add_up
from tasks.ledger.schema import LedgerSettings
from tasks.model.settings import Precision
from tasks.mopd.round import distil_round
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.step_runner import StepRunner
from tasks.release.domain import collect_domain
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import BaseSettings, SftSettings
from tasks.sft.steps import finetune, make_base
from tests.support.mirrors import MemoryMirror
from workflows.teachers.instruct.settings import DOMAIN as INSTRUCT
from workflows.teachers.math.settings import DOMAIN as MATH

FEW = {"num_train": 8, "num_validation": 4, "num_evaluation": 4, "num_demonstrations": 16}
SFT = SftSettings(num_steps=4, batch_size=4, learning_rate=3e-5, warmup_steps=0)
ASKED = Behavior(prompt=(Said(role="user", content="12 + 7 = "),), response="19", domain=MATH.name)
FOREIGN = 4.0
"""Norm of an injected change of the weights, as a multiple of the predicted rounding."""


@dataclass(frozen=True)
class Case:
    """One round: its learning rate, and the precision of computing and of the saved student."""

    rate: float
    precision: Precision

    @property
    def name(self) -> str:
        """The case as it is called in the result file."""
        return f"{self.rate:.0e} {self.precision}"

    @property
    def settings(self) -> RoundSettings:
        """Four steps of four rollouts of eight tokens, in one segment."""
        return RoundSettings(
            loop=LoopSettings(
                num_steps=4,
                learning_rate=self.rate,
                warmup_steps=0,
                precision=self.precision,
                saved_precision=self.precision,
            ),
            ledger=LedgerSettings(segment_steps=4, rollouts_per_teacher=1),
            sampling=SamplingSettings(max_new_tokens=8),
            prompts_per_domain=2,
        )


CASES = [Case(rate, precision) for rate in (1e-6, 1e-5, 1e-4) for precision in Precision]


def plan_of_two(runner: StepRunner, model: Path) -> Plan:
    """Return the plan of both teachers over a model in a folder; what is there is reused."""
    base = make_base(runner, str(model), [], BaseSettings(), 0)
    return Plan(
        fork_point=base,
        student=base,
        teachers=[
            _teacher(runner, base, "workflows.teachers.math", MATH),
            _teacher(runner, base, "workflows.teachers.instruct", INSTRUCT),
        ],
    )


def _teacher(
    runner: StepRunner, base: Artifact, package: str, settings: DomainSettings
) -> PlannedTeacher:
    domain = collect_domain(runner, package, settings.model_copy(update=FEW), 0)
    stage = StageLabel(name=f"{settings.name} sft", owner=settings.owner)
    trained = finetune(runner, base, [domain.demonstrations], SFT, 0, stage)
    return PlannedTeacher(
        name=settings.name,
        domain=settings.name,
        reference=f"{settings.name}@0",
        owner=settings.owner,
        release=trained,
        checkpoint=trained,
        ladder=[Rung(step=SFT.num_steps, checkpoint=trained)],
        environment=domain.environment,
        train=domain.train,
        validation=domain.validation,
        evaluation=domain.evaluation,
    )


def measured(model: Path, home: Path, case: Case) -> dict[str, Any]:
    """Return what one case says, in a home that keeps what several cases share."""
    os.environ["PROVOST_HOME"] = str(home)
    mirror = MemoryMirror()  # type: ignore[no-untyped-call]
    runner = StepRunner(open_store(), mirror=mirror)
    return measure(runner, plan_of_two(runner, model), case)


def measure(runner: StepRunner, plan: Plan, case: Case) -> dict[str, Any]:
    """Return what one case says."""
    row: dict[str, Any] = {"learning_rate": case.rate, "precision": case.precision.value}
    with _timed(row, "round_seconds"):
        student = distil_round(runner, plan, case.settings, 0)
    subject = find_subject(runner, student.digest)
    with _timed(row, "check_seconds"):
        models = open_models(runner, subject)
    found = models.conservation
    row |= {
        "change": found.change,
        "parts": dict(found.parts),
        "rounding": found.rounding,
        "predicted": found.expected,
        "measured_over_predicted": found.rounding / found.expected,
        "saving": found.saving,
        "unexplained": found.unexplained,
    }
    row["foreign_change_refused"] = _refuses_foreign(subject, models, found.expected)
    row["segment"] = segment_cost(subject.ledger, models.start)
    del models
    with _timed(row, "audit_seconds"):
        audit = explain(runner, student.digest, [ASKED])
    row["audit"] = {
        "before": audit.begun,
        "after": audit.ended,
        "shares": {name: share.mean for name, share in audit.shares.items()},
        "residual": audit.residual,
        "verdict": audit.verdict.sentence,
    }
    with _timed(row, "surgery_seconds"):
        made = scale_teachers(runner, student.digest, {"math": 0.0})
    verified = Verifier(runner.store).verify(made.record)
    row["verified_records"], row["problems"] = verified.records, len(verified.problems)
    row["bytes"] = {
        "student": _size(runner.store.tree(student.digest)),
        "ledger": _size(subject.ledger.folder),
    }
    row["peak_bytes"] = resident()["peak"]
    return row


def _refuses_foreign(subject: AuditedStudent, models: Opened, expected: float) -> bool:
    """Return whether a change of all weights by a few times the rounding is refused."""
    ledger = subject.ledger
    count = sum(tensor.numel() for tensor in models.start.values())
    size = FOREIGN * expected * models.conservation.change / count**0.5
    noise = torch.Generator().manual_seed(0)
    manifest = ledger.manifest.model_copy(update={"saved": None})
    end = {
        name: tensor + size * torch.randn(tensor.shape, generator=noise)
        for name, tensor in ledger.trained_end(models.start).items()
    }
    files = [ledger.opened(segment) for segment in manifest.segments]
    try:
        add_up(manifest, files, models.start, end)
    except RefusedError as refusal:
        return refusal.code == "unexplained-change"
    return False


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@contextmanager
def _timed(row: dict[str, Any], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    row[name] = round(time.perf_counter() - started, 1)
