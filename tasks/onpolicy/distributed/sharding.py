"""A model over several ranks: fully sharded (FSDP2), with the output head kept apart.

The body's layers are FSDP units, and the rest of the body is another unit. Parameters are fp32
shards, which are the master weights, and are gathered in the compute precision. Gradients are
summed in fp32, not averaged.

The head is not a unit. It is called once per chunk of a microbatch, and ranks have different
numbers of chunks, so gathering a unit would wait for ranks that never call it. Instead it is
gathered once per microbatch, in the compute precision, as an autograd leaf. The leaf's gradient is
summed over chunks in fp32, separately for each source, and each sum goes to the shards in one
reduce-scatter. A head that is tied to the embedding stays a parameter of the body: both uses add
their gradients to the same shard.

Teachers are sharded by ``tasks.mopd.teacher_pool.sharded``, or whole on every rank.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.ledger.split_adamw import SplitAdamW
from tasks.model.architecture import blocks, body_of
from tasks.model.shards import holding, remember_precision, sum_into_part, whole
from tasks.platform.ranks import exchange_json, num_ranks, rank_device


class Head:
    """Collects the head's gradients from autograd and passes them to the optimizer."""

    def __init__(
        self,
        optimizer: SplitAdamW,
        parameters: Mapping[str, nn.Parameter],
        leaves: Mapping[str, nn.Parameter],
    ) -> None:
        """Remember each parameter's leaf; they are the same tensor unless sharded."""
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
    """Gather the whole head on every rank for the context, in precision ``compute``. Collective."""
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


def shard(
    model: PreTrainedModel, compute: torch.dtype, cast: Callable[[nn.Parameter], None]
) -> None:
    """Keep each rank's part of the model on it; the model computes in ``compute`` from now on.

    ``cast`` gives a parameter the precision of its shards, in place. It gets the parameters of one
    unit at a time, so a rank never has the whole model in that precision.

    Raises:
        ValueError: if ranks hold different weights, or the architecture has parameters outside body
            and head.
    """
    _check_shape(model)
    _check_weights(model)
    remember_precision(model, compute)
    body, head = body_of(model), model.get_output_embeddings()
    mesh = init_device_mesh(rank_device().type, (num_ranks(),))
    places = {
        parameter: (module, name)
        for module in body.modules()
        for name, parameter in module.named_parameters(recurse=False)
    }
    of_head = dict(head.named_parameters(recurse=False))
    policy = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32)
    for module in (*blocks(model), body):
        for parameter in module.parameters():
            if not isinstance(parameter, DTensor):
                cast(parameter)
        # It also moves the module to this rank's device, so that never all of them are there.
        unit = fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        unit.set_gradient_divide_factor(1.0)
        unit.set_force_sum_reduction_for_comms(True)  # gloo knows no other way to a plain sum
    for name, parameter in of_head.items():
        tied = places.get(parameter)
        if not tied:
            cast(parameter)
        setattr(head, name, getattr(*tied) if tied else _sharded(parameter, mesh))


def _sharded(parameter: nn.Parameter, mesh: DeviceMesh) -> nn.Parameter:
    value = parameter.data.to(rank_device())
    part = distribute_tensor(value, mesh, [Shard(0)], src_data_rank=None)
    return nn.Parameter(part, requires_grad=parameter.requires_grad)


@contextmanager
def replica(model: PreTrainedModel) -> Iterator[None]:
    """Gather the whole model on every rank for the context, in its compute precision.

    Each rank may then run it as often as it needs, because sampling ends after a different number
    of tokens on every rank. This takes the memory of the whole model in that precision. It is for
    inference only. A model that is not sharded is left as it is. Collective.
    """
    units = [module for module in model.modules() if isinstance(module, FSDPModule)]
    if not units:
        yield
        return
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        # A tied head's parameter is the body's, which swaps it for the whole one in the body alone.
        with gathered_head(model, next(body_of(model).parameters()).dtype):
            yield
    finally:
        for unit in units:
            unit.reshard()
            unit.set_reshard_after_forward(True, recurse=False)


@contextmanager
def gathered_head(model: PreTrainedModel, compute: torch.dtype) -> Iterator[None]:
    """Gather the output head on every rank for the context, for inference only. Collective."""
    head = model.get_output_embeddings()
    wholes = {
        name: nn.Parameter(whole(part.detach().to(compute)), requires_grad=False)
        for name, part in head.named_parameters(recurse=False)
    }
    with holding(head, wholes):
        yield


def _check_shape(model: PreTrainedModel) -> None:
    known = {*body_of(model).parameters(), *model.get_output_embeddings().parameters()}
    others = [name for name, parameter in model.named_parameters() if parameter not in known]
    if body_of(model) is model or others:
        raise RefusedError(
            "other-parameters",
            f"{type(model).__name__} cannot be sharded here: it has parameters outside its body "
            f"and its output head ({others[:3]}); train it on one device, or with adapters",
        )


@torch.no_grad()
def _check_weights(model: PreTrainedModel) -> None:
    sums = [float(parameter.double().sum()) for parameter in model.parameters()]
    if any(other != sums for other in exchange_json([*sums])):
        raise RefusedError(
            "different-weights",
            "the ranks start with different weights, so their shards would not form one model: "
            "load the same checkpoint on all of them, and initialize adapters from one seed",
        )
