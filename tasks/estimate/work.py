"""What one rank of a round has to do, in the numbers that its needs follow from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tasks.estimate.shape import Shape
from tasks.model.settings import Precision
from tasks.onpolicy.settings import Workload, microbatch_tokens_on

TOKEN_BYTES = 88
"""Bytes of a rollout's token: three pointers, and Python's objects of an id and a log-probability.
A test measures it."""


@dataclass(frozen=True)
class RankWork:
    """A round on some ranks."""

    student: Shape
    teachers: tuple[Shape, ...]
    """Shapes of the teachers by place; several may be the same."""
    load: Workload
    num_ranks: int
    ranks_per_node: int
    on_gpu: bool
    prompt_tokens: int
    """Tokens of the longest prompt."""
    domains: int
    """Number of domains; each gives ``prompts_per_domain`` prompts a step."""

    @property
    def compute_bytes(self) -> int:
        """Bytes of a number in forward and backward passes."""
        return 2 if self.load.loop.precision is Precision.BF16 else 4

    @property
    def is_sharded(self) -> bool:
        """Whether each rank holds a part of the student only."""
        return self.num_ranks > 1

    @property
    def shares_teachers(self) -> bool:
        """Whether each rank holds a part of the teacher that scores."""
        return self.is_sharded and self.load.teachers_sharded

    @property
    def trained(self) -> int:
        """Trained numbers of all ranks."""
        adapter = self.load.loop.adapter
        return adapter.rank * self.student.adapted if adapter else self.student.total

    @property
    def trained_here(self) -> int:
        """Trained numbers of the rank that holds the most.

        FSDP cuts along the first dimension. That of an adapter's first matrix is its rank, often
        below the number of ranks: some then hold a whole row, and the others none.
        """
        adapter, shape = self.load.loop.adapter, self.student
        if not adapter:
            return -(-self.trained // self.num_ranks)
        outputs = shape.adapted - shape.adapted_inputs
        first = shape.adapted_inputs * -(-adapter.rank // self.num_ranks)
        return first + -(-adapter.rank * outputs // self.num_ranks)

    @property
    def extra_sources(self) -> int:
        """Sources that share a microbatch with a teacher."""
        return self.load.has_outcome + self.load.has_reference

    @property
    def num_sources(self) -> int:
        """Sources of the objective."""
        return len(self.teachers) + self.extra_sources

    @property
    def largest_teacher(self) -> Shape:
        """The teacher with the most parameters."""
        return max(self.teachers, key=lambda teacher: teacher.total)

    @property
    def row(self) -> int:
        """Tokens of the longest rollout."""
        return self.prompt_tokens + self.load.max_new_tokens

    @property
    def rollouts_here(self) -> int:
        """Rollouts of one rank in a step."""
        return -(-self.load.rollouts_per_step * self.domains // self.num_ranks)

    @property
    def rollout_bytes(self) -> int:
        """Bytes of one rank's rollouts of a step, in host memory until the step has learned."""
        return TOKEN_BYTES * self.row * self.rollouts_here

    @property
    def rollouts_of_sampler(self) -> int:
        """Rollouts that one rank, or one server, samples in a step, all at once."""
        return -(
            -self.load.rollouts_per_step * self.domains // (self.load.servers or self.num_ranks)
        )

    @property
    def probed_here(self) -> int:
        """Rollouts that one rank reads again for the ledger after a step: one of each teacher."""
        return -(-len(self.teachers) // self.num_ranks)

    @property
    def rows(self) -> int:
        """Rollouts in a full microbatch, which are all of one teacher."""
        wanted = self.load.loop.microbatch_tokens or microbatch_tokens_on(on_gpu=self.on_gpu)
        of_update = -(-self.load.rollouts_per_step // self.load.loop.inner_updates)
        return max(1, min(wanted // self.row, -(-of_update // self.num_ranks)))

    @property
    def read_tokens(self) -> int:
        """Tokens of a full microbatch that the student reads: all but each row's last."""
        return self.rows * (self.row - 1)

    @property
    def chosen_tokens(self) -> int:
        """Response tokens of a full microbatch."""
        return self.rows * self.load.max_new_tokens

    @cached_property
    def passes(self) -> int:
        """Microbatches of one rank in a step: forward and backward passes."""
        of_update = -(-self.load.rollouts_per_step // self.load.loop.inner_updates)
        of_teacher = math.ceil(of_update / (self.rows * self.num_ranks))
        return of_teacher * len(self.teachers) * self.load.loop.updates_per_step


def same_teachers(shape: Shape, count: int) -> Sequence[Shape]:
    """Return the shapes of some teachers of one architecture."""
    return (shape,) * count
