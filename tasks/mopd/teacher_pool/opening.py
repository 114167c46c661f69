"""Opens the teachers of a pool, each checkpoint and each architecture once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.files import refuse_non_finite
from tasks.model.lora_factors import LoraAdapter
from tasks.mopd.teacher_pool.checkpoint import (
    CheckpointFiles,
    CheckpointFolder,
    TeacherSource,
    check_binding,
)


class Template(Protocol):
    """The module that runs all teachers of one architecture, in turn."""

    @property
    def model(self) -> PreTrainedModel:
        """The module itself."""


TemplateT = TypeVar("TemplateT", bound=Template)
Named = TypeVar("Named")


@dataclass(frozen=True)
class OpenedTeacher(Generic[TemplateT]):
    """An opened teacher: its weights, its module and its adapter."""

    digest: str
    """Digest of the full weights; teachers with the same digest share them."""
    checkpoint: CheckpointFiles
    template: TemplateT
    adapter: LoraAdapter | None = None


class Opener(Generic[TemplateT]):
    """Opens each checkpoint, each architecture and each teacher once."""

    def __init__(
        self,
        make_template: Callable[[CheckpointFiles, torch.device], TemplateT],
        device: torch.device,
        vocabulary_size: int,
        looked_at: slice = slice(None),
    ) -> None:
        """Make templates on a device, for teachers with the student's vocabulary.

        ``looked_at`` are the tensors, sorted by name, in which NaN and infinity are looked for:
        ranks that open the same files share them.
        """
        self._make_template, self._device = make_template, device
        self._vocabulary_size, self._looked_at = vocabulary_size, looked_at
        self._checkpoints: dict[str, CheckpointFiles] = {}
        self._templates: dict[str, TemplateT] = {}
        self._teachers: dict[tuple[str, str], OpenedTeacher[TemplateT]] = {}

    def open_all(self, sources: Sequence[TeacherSource]) -> dict[str, OpenedTeacher[TemplateT]]:
        """Return the teachers by name, all checked.

        Raises:
            ValueError: naming the teacher, for ambiguous names, a wrong digest, another vocabulary
                size than the student's, missing or non-finite weights, a model that needs its own
                code, or an adapter that does not fit its base.
        """
        check_binding(sources)
        teachers = {}
        for source in sources:
            with naming(source.name):
                teachers[source.name] = self._teacher(source)
        return teachers

    def _teacher(self, source: TeacherSource) -> OpenedTeacher[TemplateT]:
        key = source.weights.digest, source.digest
        if key not in self._teachers:
            self._teachers[key] = self._open(source)
        return self._teachers[key]

    def _open(self, source: TeacherSource) -> OpenedTeacher[TemplateT]:
        checkpoint = self._checkpoint(source.weights)
        template = self._templates.get(checkpoint.architecture)
        if template is None:
            template = self._make_template(checkpoint, self._device)
            self._templates[checkpoint.architecture] = template
        adapter = None
        if source.base is not None:
            adapter = LoraAdapter(source.folder)
            adapter.check_fits(template.model)
        return OpenedTeacher(source.weights.digest, checkpoint, template, adapter)

    def _checkpoint(self, source: CheckpointFolder) -> CheckpointFiles:
        if source.digest not in self._checkpoints:
            checkpoint = CheckpointFiles(source.folder)
            _check_vocabulary(checkpoint, self._vocabulary_size)
            tensors = checkpoint.tensors()
            refuse_non_finite({name: tensors[name] for name in sorted(tensors)[self._looked_at]})
            self._checkpoints[source.digest] = checkpoint
        return self._checkpoints[source.digest]


@contextmanager
def naming(teacher: str) -> Iterator[None]:
    """Name the teacher in whatever refuses it within the context."""
    try:
        yield
    except ValueError as error:
        code = error.code if isinstance(error, RefusedError) else "unusable-model"
        message = f"teacher {teacher!r} cannot be used: {error}"
        raise RefusedError(code, message) from error


def teacher_named(teachers: Mapping[str, Named], name: str) -> Named:
    """Return a pool's teacher; raise KeyError for a name that it does not have."""
    try:
        return teachers[name]
    except KeyError:
        raise KeyError(
            f"the pool has no teacher {name!r} (it has {sorted(teachers)}), and does not replace "
            "it by another: correct the name"
        ) from None


def _check_vocabulary(checkpoint: CheckpointFiles, expected: int) -> None:
    """Raise RefusedError for a teacher with another vocabulary size than the student's."""
    inner = checkpoint.config.get("text_config")
    config = inner if isinstance(inner, dict) else checkpoint.config
    entries = config.get("vocab_size")
    if entries != expected:
        raise RefusedError(
            "other-vocabulary",
            f"its vocabulary has {entries} entries and the student's {expected}, so their "
            "probabilities cannot be compared: use teachers with the student's tokenizer",
        )
