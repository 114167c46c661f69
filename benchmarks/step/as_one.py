"""Distillation in which the optimizer does not tell the teachers apart."""

from dataclasses import replace

from torch import Tensor

from tasks.mopd.objective import Distillation
from tasks.onpolicy.microbatch import Microbatch
from tasks.onpolicy.objective import ChunkLoss, TokenLoss

ALL = "teachers"


class AsOne(Distillation):
    """Distillation whose sources share one gradient."""

    @property
    def sources(self) -> list[str]:
        """One."""
        return [ALL]

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Return the microbatch's losses under the one name."""
        losses = super().prepare(batch)

        def renamed(student_CV: Tensor, chunk: slice) -> TokenLoss:
            loss = losses(student_CV, chunk)
            first, *rest = loss.by_source.values()
            return replace(loss, by_source={ALL: sum(rest, first)}, advantages={})

        return renamed
