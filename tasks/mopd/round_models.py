"""All frozen models of a round: teachers, their precursors, and the model that it began with.

``scoring_models`` names those that score a teacher's microbatches. All must share the student's
tokenizer and chat template.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.records.record import Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from lineage.store.store import Store
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.contracts.refusal import RefusedError
from tasks.model.files import load_tokenizer
from tasks.model.identity import template_digest, tokenizer_differences
from tasks.model.log_probs import TokenBatch
from tasks.mopd.settings import DistilSettings, RoundSettings
from tasks.mopd.teacher_pool.checkpoint import TeacherSource
from tasks.onpolicy.ladder import earlier_rungs

INITIAL_STUDENT = "the student's start"
"""The model that the round began with, frozen: the anchor of deltas, and the reference."""

ScoreRequest = tuple[str, TokenBatch]
"""The name of a model and the microbatch that it scores."""


def precursor_name(teacher: str) -> str:
    """Return the name of the checkpoint that a teacher was trained from."""
    return f"{teacher}'s precursor"


def scoring_models(teacher: str, settings: DistilSettings) -> list[str]:
    """Return the names of the models that score a teacher's microbatches, in order."""
    is_delta = teacher in settings.delta_teachers
    before = [precursor_name(teacher)] if is_delta else []
    start = [INITIAL_STUDENT] if is_delta or settings.reference_weight > 0 else []
    return [teacher, *before, *start]


class FrozenModels(Protocol):
    """Frozen models by name: every teacher, and the others that ``scoring_models`` names."""

    @property
    def names(self) -> list[str]:
        """The models that are loaded, sorted."""

    def begin_step(
        self,
        step: int,
        updates: Sequence[Sequence[ScoreRequest]],
        again: Sequence[ScoreRequest] = (),
    ) -> None:
        """Announce what each update of a step will score, in order, so that it is fetched ahead.

        What ``rescore`` will compute is announced in ``again``.
        """

    def hidden(self, model: str, tokens: TokenBatch) -> Tensor:
        """Return the last hidden states [N, D] before the chosen tokens."""

    def rescore(self, model: str, tokens: TokenBatch) -> Tensor:
        """Return the same, recomputed and not cached."""

    def logits(self, model: str, hidden_CD: Tensor) -> Tensor:
        """Return the logits [C, V] of some of its hidden states, in fp32."""


@dataclass(frozen=True)
class RoundModels:
    """Every checkpoint that a round loads."""

    plan: Plan
    precursors: Mapping[str, Artifact]
    """The precursor of each teacher that is distilled by its delta."""

    @property
    def start(self) -> Artifact:
        """The student's initial checkpoint."""
        return self.plan.student


def round_models(store: Store, plan: Plan, settings: RoundSettings) -> RoundModels:
    """Return the models of a round; a precursor is the one that the teacher's release names.

    Raises:
        ValueError: for settings of an unknown teacher; for a delta teacher without a delta, or with
            the student's start as precursor, where the target is the teacher itself; for a
            reference without effect; if all teachers are masked.
    """
    planned = {teacher.name: teacher for teacher in plan.teachers}
    _check_names(settings.distil, set(planned))
    if settings.distil.reference_weight > 0 and all(t.is_self for t in plan.teachers):
        raise RefusedError(
            "idle-reference",
            f"reference_weight is {settings.distil.reference_weight}, but the only teacher is the "
            "student itself, which already is the reference: set reference_weight to 0",
        )
    if set(planned) <= set(settings.distil.masked):
        raise RefusedError(
            "all-masked",
            f"every teacher is masked ({sorted(planned)}), so the student would learn nothing: "
            "unmask one",
        )
    for teacher in plan.teachers:
        store_system_prompt(store, teacher.system_prompt)
    chosen = [planned[name] for name in settings.distil.delta_teachers]
    return RoundModels(plan, {t.name: _precursor(store, t, plan.student) for t in chosen})


def _check_names(settings: DistilSettings, planned: Set[str]) -> None:
    weights = settings.balance.weights
    for what, named in (
        ("masked", settings.masked),
        ("delta", settings.delta_teachers),
        ("weighted", tuple(weights)),
    ):
        unknown = sorted(set(named) - planned)
        if unknown:
            raise RefusedError(
                "unknown-teacher",
                f"{what} teachers {unknown} are not in this round, which has {sorted(planned)}: "
                "correct the names",
            )
    if weights and planned - set(weights):
        raise RefusedError(
            "teacher-without-weight",
            f"the balance has fixed weights for {sorted(weights)} and none for "
            f"{sorted(planned - set(weights))}: give each teacher a weight",
        )


def _precursor(store: Store, teacher: PlannedTeacher, start: Artifact) -> Artifact:
    if teacher.is_self:
        raise RefusedError(
            "delta-of-self",
            f"the teacher {teacher.name!r} is the student itself, so its delta is zero: leave it "
            "out of delta_teachers",
        )
    precursor = read_manifest(store, teacher.release.digest, Release).precursor
    if precursor.digest == start.digest:
        raise RefusedError(
            "delta-of-start",
            f"the teacher {teacher.name!r} was trained from the student's start, so its delta "
            "target is the teacher itself: leave it out of delta_teachers",
        )
    return precursor


def inputs_of(models: RoundModels, settings: RoundSettings) -> Iterator[Input]:
    """Yield everything that a round's student depends on, each with its role."""
    plan = models.plan
    yield Input.of("student", plan.student)
    for teacher in plan.teachers:
        yield Input(
            role="teacher",
            artifact=teacher.checkpoint.digest,
            record=teacher.checkpoint.record,
            # Every domain has as many prompts in a step.
            weight=teacher.share / len(plan.leads),
            name=teacher.name,
        )
        yield from system_prompt_inputs(teacher.system_prompt, teacher.name)
        # As they were chosen, in the order of the stages: the choice is part of what was done.
        for staged in earlier_rungs(teacher, settings.ladder_stages):
            rung = staged.rung.checkpoint
            yield Input.of("rung", rung, teacher.name)
        if teacher.name in models.precursors:
            before = models.precursors[teacher.name]
            yield Input.of("precursor", before, teacher.name)
    for lead in plan.leads:
        for role, part in (("prompts", lead.train), ("environment", lead.environment)):
            yield Input.of(role, part, lead.domain)


def check_tokens(
    sources: Sequence[TeacherSource], student: PreTrainedTokenizerBase, *, any_template: bool
) -> None:
    """Compare the tokenizers and templates in the checkpoints, not the declared ones.

    Two tokenizers of the same vocabulary size may disagree on every id. Nothing would fail, and the
    student would learn noise.

    Args:
        sources: Every model that scores.
        student: Tokenizer of the student.
        any_template: Whether a waiver accepts different templates.

    Raises:
        ValueError: naming the teacher, for a different tokenizer or chat template.
    """
    ours = template_digest(student)
    # Teachers of one digest are one folder.
    tokenizers = {source.digest: load_tokenizer(source.folder) for source in sources}
    for source in sources:
        tokenizer = tokenizers[source.digest]
        if differ := tokenizer_differences(tokenizer, student):
            raise RefusedError(
                "other-tokenizer",
                f"teacher {source.name!r} cannot be used: its tokenizer and the student's differ "
                f"in {'; and in '.join(differ)}. Ids would mean other text to it: re-train it with "
                "the student's tokenizer, or leave it out",
            )
        template = template_digest(tokenizer)
        if template != ours and not any_template:
            raise RefusedError(
                "other-template",
                f"teacher {source.name!r} cannot be used: its chat template is {template}, the "
                f"student's {ours}. It would score prompts in a form that it never saw: release "
                "it with the student's template, leave it out, or have a waiver accept it",
            )
