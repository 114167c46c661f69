"""Which frozen models read a teacher's microbatches: itself, its precursor, the student's start.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from tasks.model.log_probs import TokenBatch
from tasks.mopd.settings import DistilSettings

START = "the student's start"
"""The model that the round began with, frozen: the anchor of deltas, and the reference."""

Asked = tuple[str, TokenBatch]
"""A voice and the microbatch that it is to read."""


def precursor_of(teacher: str) -> str:
    """Return the name of the checkpoint that a teacher was trained from."""
    return f"{teacher}'s precursor"


def voices(teacher: str, settings: DistilSettings) -> list[str]:
    """Return who reads a teacher's microbatches, in the order in which they are asked."""
    is_delta = teacher in settings.delta_teachers
    before = [precursor_of(teacher)] if is_delta else []
    start = [START] if is_delta or settings.reference_weight > 0 else []
    return [teacher, *before, *start]


class Teachers(Protocol):
    """Frozen models by name, the voices: a body that reads tokens, a head that says what follows.

    Every teacher is one, and so are what ``voices`` names besides.
    """

    @property
    def names(self) -> list[str]:
        """The voices that can be asked, sorted."""

    def begin_step(self, step: int, updates: Sequence[Sequence[Asked]]) -> None:
        """Hear what each update of a step will ask, in order, to fetch or score it ahead."""

    def hidden(self, voice: str, tokens: TokenBatch) -> Tensor:
        """Return the last hidden states [N, D] before the chosen tokens."""

    def again(self, voice: str, tokens: TokenBatch) -> Tensor:
        """Return the same, computed anew and not remembered."""

    def logits(self, voice: str, hidden_CD: Tensor) -> Tensor:
        """Return the logits [C, V] of some of its hidden states, in fp32."""
