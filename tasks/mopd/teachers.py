"""The teachers of a round: bound by name and digest, from the pool, optionally in stages.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lineage.artifacts import Artifact
from lineage.records.record import Records
from lineage.store.store import Store
from tasks.contracts.handover import PlannedTeacher
from tasks.model.files import Policy
from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits
from tasks.mopd.round_models import (
    INITIAL_STUDENT,
    RoundModels,
    ScoreRequest,
    check_tokens,
    precursor_name,
)
from tasks.mopd.settings import RoundSettings, TeacherPlacement
from tasks.mopd.teacher_pool.checkpoint import (
    CheckpointFiles,
    CheckpointFolder,
    TeacherSource,
    digest_folder,
)
from tasks.mopd.teacher_pool.hidden_cache import HiddenCache
from tasks.mopd.teacher_pool.pool import PoolSettings, open_teachers
from tasks.mopd.teacher_pool.sharded_pool import LockstepCache, open_sharded_teachers
from tasks.onpolicy.ladder import earlier_rungs
from tasks.onpolicy.student_files import ADAPTER
from tasks.platform.ranks import num_ranks, rank_device


class ResidentTeachers:
    """Frozen teachers that are models in this process already; for use as a library."""

    def __init__(self, models: Mapping[str, PreTrainedModel], temperature: float) -> None:
        """Freeze the models; logits are divided by the sampling ``temperature``."""
        self._temperature = temperature
        self._models = {
            name: model.eval().requires_grad_(requires_grad=False) for name, model in models.items()
        }
        for model in models.values():
            write_norms_by_hand(model)

    @property
    def names(self) -> list[str]:
        """The teachers by name, sorted."""
        return sorted(self._models)

    def begin_step(
        self,
        step: int,
        updates: Sequence[Sequence[ScoreRequest]],
        again: Sequence[ScoreRequest] = (),
    ) -> None:
        """Do nothing: all of them are loaded already."""

    @torch.no_grad()
    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the named teacher's hidden states [N, D]."""
        return chosen_hidden(self._models[teacher], tokens)

    def rescore(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the same, computed anew."""
        return self.hidden(teacher, tokens)

    @torch.no_grad()
    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the named teacher's logits [C, V]."""
        return head_logits(self._models[teacher], hidden_CD, self._temperature)


class StagedTeachers:
    """Teachers that may be an earlier rung of their climb in earlier steps."""

    def __init__(
        self, pool: HiddenCache, stages: Sequence[Mapping[str, str]], num_steps: int
    ) -> None:
        """Take a pool, and for each stage the model of each teacher.

        The stages have equal length; the last one uses the teachers themselves.
        """
        self._pool, self._stages, self._num_steps = pool, list(stages), num_steps
        self._now = self._stages[0]

    @property
    def names(self) -> list[str]:
        """Names of the models that can score, sorted."""
        return sorted(self._now)

    @property
    def pool(self) -> HiddenCache:
        """The pool of all models."""
        return self._pool

    def stage_of(self, step: int) -> int:
        """Return which stage a step (counted from 1) belongs to, counted from 0."""
        return min(len(self._stages) - 1, (step - 1) * len(self._stages) // self._num_steps)

    def begin_step(
        self,
        step: int,
        updates: Sequence[Sequence[ScoreRequest]],
        again: Sequence[ScoreRequest] = (),
    ) -> None:
        """Choose the step's rungs; with several inner updates, score all microbatches now.

        Collective for sharded teachers, which score all microbatches now in any case.
        """
        self._now = self._stages[self.stage_of(step)]
        requests = [(self._now[name], tokens) for update in updates for name, tokens in update]
        if len(updates) > 1 or self._pool.makes_all_passes_first:
            once_more = [(self._now[name], tokens) for name, tokens in again]
            self._pool.score_ahead(requests, once_more)
        else:
            self._pool.expect([model for model, _ in requests])

    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's last hidden states [N, D] before the chosen tokens."""
        return self._pool.hidden(self._now[teacher], tokens)

    def rescore(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the same, computed anew and not remembered."""
        return self._pool.anew(self._now[teacher], tokens)

    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the teacher's logits [C, V] of some of its hidden states, in fp32."""
        return self._pool.logits(self._now[teacher], hidden_CD)


def open_round_teachers(
    round_models: RoundModels,
    settings: RoundSettings,
    student: Policy,
    store: Store,
) -> StagedTeachers:
    """Open and check every model that scores in a round; equal models and shared bases open once.

    Args:
        round_models: The models of the plan.
        settings: Settings of the round.
        student: The student; the models must share its tokenizer, template and vocabulary.
        store: Holds the checkpoints, and the records of how they were made.

    Raises:
        ValueError: naming the teacher that cannot be used, and why.
    """
    beside = {precursor_name(name): before for name, before in round_models.precursors.items()}
    if beside or settings.distil.reference_weight > 0:
        beside[INITIAL_STUDENT] = round_models.start
    models = dict(beside)
    keys = []
    for stage in range(settings.ladder_stages):
        last = stage == settings.ladder_stages - 1
        names = {
            t.name: t.name if last else f"{t.name}, stage {stage + 1}"
            for t in round_models.plan.teachers
        }
        keys.append(names | {name: name for name in beside})
        for teacher in round_models.plan.teachers:
            models[names[teacher.name]] = rung_at(teacher, stage, settings.ladder_stages)
    sources = [teacher_source(store, name, model) for name, model in models.items()]
    codes = {note.code for note in round_models.plan.notes}
    check_tokens(sources, student.tokenizer, any_template="other-template" in codes)
    split = [split_lora(store, source, models[source.name]) for source in sources]
    pool = PoolSettings(
        vocabulary_size=student.model.config.vocab_size,
        temperature=settings.sampling.temperature,
        device=rank_device(),
        placement=settings.placement,
    )
    return StagedTeachers(_opened(split, pool), keys, settings.loop.num_steps)


def _opened(sources: Sequence[TeacherSource], settings: PoolSettings) -> HiddenCache:
    if settings.placement is TeacherPlacement.SHARDED and num_ranks() > 1:
        return LockstepCache(open_sharded_teachers(sources, settings))
    return HiddenCache(open_teachers(sources, settings))


def rung_at(teacher: PlannedTeacher, stage: int, num_stages: int) -> Artifact:
    """Return a teacher's checkpoint in a stage (counted from 0): a rung, or itself in the last.

    Raises:
        ValueError: for a ladder with fewer rungs than there are stages.
    """
    if stage == num_stages - 1 or teacher.is_self:
        return teacher.checkpoint
    return earlier_rungs(teacher, num_stages)[stage].rung.checkpoint


_STARTS = {"start", "student"}
"""Roles under which the record of a climb or of a round names its initial checkpoint."""


def teacher_source(store: Store, name: str, model: Artifact) -> TeacherSource:
    """Return the source of a teacher's weights: the whole folder of its checkpoint."""
    return TeacherSource(name, model.digest, store.tree(model.digest))


def split_lora(store: Store, source: TeacherSource, model: Artifact) -> TeacherSource:
    """Return a teacher as base plus LoRA adapter, if it was trained as one.

    A LoRA student is released merged, with its A and B beside the merged weights. Teachers that
    were trained from the same checkpoint then share one set of weights, also with a precursor or
    start that scores. Their scores differ from the merged weights' only by rounding. A teacher
    stays whole if its base has another precision than the merged weights, or is gone.
    """
    folder = source.folder / ADAPTER
    if not folder.is_dir() or not model.record:
        return source
    inputs = Records(store).read(model.record).inputs
    starts = [item.artifact for item in inputs if item.role in _STARTS]
    if len(starts) != 1 or not store.has(starts[0]):
        return source
    base = CheckpointFolder(starts[0], store.tree(starts[0]))
    if CheckpointFiles(base.folder).header != CheckpointFiles(source.folder).header:
        return source
    return replace(source, digest=digest_folder(folder), folder=folder, base=base)
