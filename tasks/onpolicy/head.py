"""The output head during one microbatch: whole, called chunk by chunk, its gradient by source.

Where the model is sharded the head is gathered once a microbatch, in the precision that the model
computes in, as a leaf of autograd. The leaf's gradient is summed over chunks in fp32, apart for
each source, and each sum then goes to its shards in one reduce-scatter. So ranks need not have
the same number of chunks, and the head is moved once there and once back for each source.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from tasks.ledger.split_adamw import SplitAdamW
from tasks.model.shards import holding, sum_into_part, whole


class Head:
    """Takes the head's gradients from autograd and gives them to the optimizer."""

    def __init__(
        self,
        optimizer: SplitAdamW,
        parameters: Mapping[str, nn.Parameter],
        leaves: Mapping[str, nn.Parameter],
    ) -> None:
        """Remember which leaf stands for which parameter; they are the same unless sharded."""
        self._optimizer = optimizer
        self._leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
        self._parameters = parameters
        self._sums: dict[tuple[str, str], Tensor] = {}

    def take(self, source: str) -> None:
        """Take the gradients of the backward passes since the last call as this source's."""
        for name, leaf in self._leaves.items():
            if leaf.grad is None:
                continue
            if leaf is self._parameters[name]:
                self._optimizer.add(source, leaf, leaf.grad)
            elif (source, name) in self._sums:
                self._sums[source, name] += leaf.grad
            else:
                self._sums[source, name] = leaf.grad.float()
            leaf.grad = None

    def give(self, sources: Sequence[str]) -> None:
        """Send the sums to their shards; ``sources`` are those of any rank. Collective."""
        for name, leaf in self._leaves.items():
            parameter = self._parameters[name]
            if leaf is parameter:
                continue
            for source in sources:
                gradient = self._sums.pop((source, name), None)
                if gradient is None:
                    gradient = torch.zeros_like(leaf, dtype=torch.float32)
                self._optimizer.add(source, parameter, sum_into_part(gradient, parameter))


@contextmanager
def whole_head(
    model: PreTrainedModel, optimizer: SplitAdamW, compute: torch.dtype
) -> Iterator[Head]:
    """Let every rank hold the whole head inside, in the precision ``compute``. Collective."""
    module = model.get_output_embeddings()
    parameters = dict(module.named_parameters(recurse=False))
    leaves = {
        name: nn.Parameter(whole(p.detach().to(compute)), requires_grad=p.requires_grad)
        if isinstance(p, DTensor)
        else p
        for name, p in parameters.items()
    }
    with holding(module, leaves):
        yield Head(optimizer, parameters, leaves)
