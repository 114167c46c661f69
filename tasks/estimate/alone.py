"""The memory of what one process does alone: the gate's measurement, and the evaluation.

The gate holds the student and one teacher on its device, in the precision of their files. The
evaluation holds the student in host memory, in the precision that it is saved in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.contracts.refusal import RefusedError
from tasks.estimate.layouts import MemoryLimits, in_gib, limits_of
from tasks.estimate.ledger_phases import FP32
from tasks.estimate.memory import SAMPLED_AT_ONCE, Phase
from tasks.estimate.shape import Shape
from tasks.estimate.work import RankWork
from tasks.model.settings import Precision
from tasks.platform.resources import Flavor, Stage

READ_AT_ONCE = 4096
"""Tokens of a batch of the gate; a test compares it with that of ``tasks.gate.reading``."""
_ARRAYS = 7
"""Arrays of logits while two models are compared: three logarithms, two exponentials, two of their
products."""


@dataclass(frozen=True)
class Need:
    """What one process takes in a stage, beside what it has."""

    stage: Stage
    phase: Phase
    limit: int
    """Bytes of its GPU, or of its host."""
    flavor: str
    """Name of the flavor, or words for this machine."""
    advice: str

    @property
    def summary(self) -> str:
        """Say what it takes, in words."""
        needed, limit = in_gib(self.phase.total), in_gib(self.limit)
        return f"{needed} in one process ({self.phase.name}), of {limit}"

    @property
    def missing(self) -> str:
        """Say what does not fit, in words; "" if all does."""
        if self.phase.total <= self.limit:
            return ""
        parts = ", ".join(f"{name} {in_gib(size)}" for name, size in self.phase.parts.items())
        return (
            f"the stage {self.stage.value} runs in one process and needs "
            f"{in_gib(self.phase.total)} ({self.phase.name}: {parts}), which has "
            f"{in_gib(self.limit)} under {self.flavor}: {self.advice}"
        )


@dataclass(frozen=True)
class Sampled:
    """The most prompts of a domain that are sampled."""

    gate: int
    """Number of prompts in the gate, which measures nothing with 0."""
    evaluation: int = SAMPLED_AT_ONCE


def needs_of(
    work: RankWork, flavor: Flavor | None, here: MemoryLimits, prompts: Sampled
) -> list[Need]:
    """Return what the gate and the evaluation take under a flavor, or ``here`` without one.

    Args:
        work: The round between the two.
        flavor: The flavor, with limits for each stage.
        here: What this machine has.
        prompts: What both of them sample.
    """
    gate = limits_of(flavor, Stage.GATE_PROBE) if flavor else here
    after = limits_of(flavor, Stage.EVALUATION) if flavor else here
    found = []
    if prompts.gate:
        found.append(
            Need(
                Stage.GATE_PROBE,
                max(_gate(work, prompts.gate), key=lambda phase: phase.total),
                gate.device,
                gate.name,
                "leave the measurement out (gate_prompts_per_domain=0), lower max_new_tokens, or "
                "choose a flavor with larger GPUs",
            )
        )
    found.append(
        Need(
            Stage.EVALUATION,
            _evaluation(work, prompts.evaluation),
            after.host,
            after.name,
            "save the student in less precision (saved_precision=bf16), lower max_new_tokens, or "
            "give the stage more memory in the flavor",
        )
    )
    return found


def refuse_too_large_alone(needs: Sequence[Need]) -> None:
    """Refuse a plan with a stage that does not fit.

    Raises:
        RefusedError: naming the first such stage.
    """
    for need in needs:
        if need.missing:
            raise RefusedError("memory-too-small", f"{need.missing}. This is an estimate")


def _gate(work: RankWork, prompts: int) -> list[Phase]:
    """Return the gate's two phases with a teacher: it reads the student's rollouts, and answers."""
    teacher, size = work.largest_teacher, work.student.saved_bytes
    held = {"student": size * work.student.total, "teacher": teacher.saved_bytes * teacher.total}
    tokens = max(work.row, READ_AT_ONCE)
    chosen = tokens * work.load.max_new_tokens // work.row
    logits = FP32 * _ARRAYS * chosen * work.student.vocabulary
    layer = size * tokens * (3 * teacher.feed_forward + 3 * teacher.hidden)
    rows = min(prompts, SAMPLED_AT_ONCE)
    return [
        Phase("reading", held | {"logits": logits, "a layer": layer}),
        Phase("sampling", held | _cache(teacher, teacher.saved_bytes, rows, work.row)),
    ]


def _evaluation(work: RankWork, prompts: int) -> Phase:
    size = 2 if work.load.loop.saved_precision is Precision.BF16 else FP32
    cache = _cache(work.student, size, min(prompts, SAMPLED_AT_ONCE), work.row)
    return Phase("sampling", {"student": size * work.student.total} | cache)


def _cache(shape: Shape, size: int, rows: int, tokens: int) -> dict[str, int]:
    return {
        "cache of keys and values": 2 * size * shape.num_layers * shape.key_value * rows * tokens,
        "logits of a token": 3 * FP32 * rows * shape.vocabulary,
    }
