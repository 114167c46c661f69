"""The teacher pool: any number of frozen teachers, asked by name, in the memory of one.

Shapes: N chosen tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits
from tasks.mopd.pool.counts import PoolCounts
from tasks.mopd.pool.shelf import Teacher
from tasks.mopd.pool.stage import Stage
from tasks.mopd.settings import TeacherPlacement


@dataclass(frozen=True)
class PoolSettings:
    """What a pool needs to know of the student and of the machine."""

    vocabulary_size: int
    """The student's; a teacher's must be the same."""
    temperature: float
    """Of sampling: logits are divided by it."""
    device: torch.device
    """The student's."""
    placement: TeacherPlacement


@dataclass(frozen=True)
class PoolMemory:
    """Bytes that the teachers' weights take at most, whatever their number."""

    device: int
    """Where is computed; on the CPU the memory of the process."""
    pinned: int
    """In host memory for a CUDA device."""
    mapped: int
    """Of files that are mapped at one time: the kernel may take these pages back."""


class TeacherPool:
    """Teachers by name. Asked in the order that was announced, the next is fetched in time."""

    def __init__(
        self,
        teachers: Mapping[str, Teacher],
        stage: Stage,
        settings: PoolSettings,
        counts: PoolCounts,
        memory: PoolMemory,
    ) -> None:
        """Take opened teachers and the stage that they stand on; ``open_teachers`` makes both."""
        self._teachers, self._stage = dict(teachers), stage
        self._device, self._temperature = settings.device, settings.temperature
        self.counts, self.memory = counts, memory
        self._expected: deque[str] = deque()
        self._worn: Teacher | None = None
        self._handles: list[RemovableHandle] = []

    @property
    def names(self) -> list[str]:
        """The teachers that can be asked, sorted."""
        return sorted(self._teachers)

    def hidden_bytes(self, teacher: str) -> int:
        """Return the bytes of one token's hidden state."""
        return self._named(teacher).skeleton.hidden_bytes

    def expect(self, teachers: Sequence[str]) -> None:
        """Hear whom the coming calls of ``hidden`` will ask: one name for each call, in order.

        It changes no answer. Where another is asked than was announced, nothing is fetched ahead
        until the next announcement.
        """
        for teacher in set(teachers):
            self._named(teacher)
        self._expected = deque(teachers)

    @torch.no_grad()
    def hidden(self, teacher: str, tokens: TokenBatch) -> Tensor:
        """Return the teacher's last hidden states [N, D] before the chosen tokens."""
        asked = self._named(teacher)
        following, is_last = self._look_ahead(teacher)
        self._stage.whole(asked)
        self._wear(asked)
        if following is not None:
            self._stage.announce(following)
        hidden_ND = chosen_hidden(asked.skeleton.model, tokens.to(self._device))
        if following is not None and is_last:
            self._stage.free_body(following)
        return hidden_ND

    @torch.no_grad()
    def logits(self, teacher: str, hidden_CD: Tensor) -> Tensor:
        """Return the teacher's logits [C, V] of some of its hidden states, in fp32.

        They are divided by the sampling temperature. The output head alone is needed for it.
        """
        asked = self._named(teacher)
        self._stage.head(asked)
        self._wear(asked)
        return head_logits(asked.skeleton.model, hidden_CD, self._temperature)

    def _named(self, teacher: str) -> Teacher:
        try:
            return self._teachers[teacher]
        except KeyError:
            raise KeyError(
                f"there is no teacher {teacher!r} in the pool (there are: {self.names}); no other "
                "is asked in its place"
            ) from None

    def _look_ahead(self, teacher: str) -> tuple[Teacher | None, bool]:
        """Return whose weights are needed after this one's, and whether this is its last call."""
        if not self._expected or self._expected.popleft() != teacher:
            self._expected.clear()
        digest = self._teachers[teacher].digest
        coming = [self._teachers[name] for name in self._expected]
        others = [other for other in coming if other.digest != digest]
        return (others[0], coming[0] is others[0]) if others else (None, False)

    def _wear(self, teacher: Teacher) -> None:
        """Put on the teacher's adapter, where it has one, and no other's."""
        if self._worn is teacher:
            return
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if teacher.adapter is not None:
            self._handles = teacher.adapter.put_on(teacher.skeleton.model, self._device)
        self._worn = teacher
