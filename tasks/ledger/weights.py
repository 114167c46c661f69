"""The digest of a set of weights, by which a ledger and a checkpoint know each other."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.model.shards import whole


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the digest of named weights: names, types, shapes and every bit of every number.

    Of sharded weights it is that of the whole ones. Collective.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        data = whole(tensor).cpu().contiguous()
        total.update(f"{name} {data.dtype} {tuple(data.shape)}\n".encode())
        total.update(data.view(torch.uint8).numpy().data if data.ndim else data.numpy().tobytes())
    return f"sha256:{total.hexdigest()}"
