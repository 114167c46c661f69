"""The processes of one run. torchrun (or Flyte's Elastic) starts them; each is a rank.

Everything here works in a process of its own as well, which is then the only rank. What is called
collective must be called by all ranks, in the same order. Between ranks go tensors and JSON, and
never a pickle.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from pydantic import JsonValue
from torch import Tensor

from tasks.platform.attempt import LostRankError

LONGEST_WAIT = timedelta(minutes=30)
"""Maximum wait of a rank for another one. The longest that is no fault is for the first rank, while
it puts the states of a large student into the store."""


@contextmanager
def joined_ranks(longest_wait: timedelta = LONGEST_WAIT) -> Iterator[None]:
    """Join the other processes that a launcher has started; without a launcher stay alone.

    Inside another call of it nothing is to be done: several runs of one process join once.

    Raises:
        LostRankError: if another rank does not come, ends, or lets this one wait for longer than
            ``longest_wait``.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"  # numbers that the host has go by gloo, wait for no kernel
    try:
        dist.init_process_group(backend, timeout=longest_wait)
        yield
    except RuntimeError as error:
        if not _is_of_a_link(error):
            raise
        raise LostRankError(
            "lost-rank",
            f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} lost another one, which did "
            f"not come, ended or gave no answer within {longest_wait}: see what the other ranks "
            f"say, and start the run again, which resumes from its last state ({error})",
        ) from error
    # Not where something was raised: the launcher ends the others, which would be waited for.
    dist.destroy_process_group()


def _is_of_a_link(error: RuntimeError) -> bool:
    """Return whether a message between ranks failed; gloo's errors have no type of their own."""
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)


def num_ranks() -> int:
    """Return how many processes work on this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which of them this is; the first one, 0, writes what is written once."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks_on_node() -> int:
    """Return how many ranks share this machine's memory."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if dist.is_initialized() else 1


def rank_device() -> torch.device:
    """Return this rank's accelerator, or the CPU without one."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def exchange(message: str) -> list[str]:
    """Return every rank's message, by rank. Collective."""
    if num_ranks() == 1:
        return [message]
    data = message.encode()
    sizes = [int(size) for size in _gathered(torch.tensor([len(data)]))]
    # At least one byte, because torch reads no empty buffer.
    padded = torch.frombuffer(bytearray(data.ljust(max(1, *sizes), b"\0")), dtype=torch.uint8)
    rows = zip(_gathered(padded), sizes, strict=True)
    return [row[:size].numpy().tobytes().decode() for row, size in rows]


def _gathered(tensor: Tensor) -> list[Tensor]:
    """Return every rank's tensor of one shape, by rank."""
    found = [torch.empty_like(tensor) for _ in range(num_ranks())]
    dist.all_gather(found, tensor)
    return found


def exchange_json(value: JsonValue) -> list[JsonValue]:
    """Return every rank's value, by rank. Collective."""
    return [json.loads(message) for message in exchange(json.dumps(value))]


def agreed(value: JsonValue) -> JsonValue:
    """Return the first rank's value on all ranks, such as a clock reading or a store lookup."""
    return exchange_json(value)[0]


def sum_over_ranks(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return each number's sum over the ranks that have it; the same on all ranks. Collective."""
    total: dict[str, float] = {}
    for message in exchange(json.dumps(dict(numbers))):
        for name, value in json.loads(message).items():
            total[name] = total.get(name, 0.0) + value
    return total


def union_over_ranks(names: Iterable[str], order: Iterable[str]) -> list[str]:
    """Return the names that any rank has, in a common ``order``. Collective."""
    mine = set(names)
    if num_ranks() == 1:
        return [name for name in order if name in mine]
    named = {name for message in exchange(json.dumps(sorted(mine))) for name in json.loads(message)}
    return [name for name in order if name in named]
