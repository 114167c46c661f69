"""The files that a vLLM server loads: a policy's weights, written by one process or by all ranks.

Of several ranks none holds the whole model. It is written part by part: a layer, the rest of the
body, the output head. All ranks put a part together, one of them writes it (one on each node, where
nodes have folders of their own: ``weights_folder``), and then it is dropped.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from tasks.contracts.refusal import RefusedError
from tasks.model.layers import weights_by_part
from tasks.model.lora import merged_weights
from tasks.model.shards import holding, local, precision_of, whole
from tasks.platform.ranks import exchange, exchange_json, num_ranks
from tasks.rollout.sampling.vllm.weights_folder import WeightsFolder

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def write_weights(
    model: PreTrainedModel, folder: WeightsFolder, *, merged: bool = True
) -> tuple[Path, str]:
    """Write the weights as a folder that is named by their digest; return both. Collective.

    Args:
        model: The policy.
        folder: Where the folder is made.
        merged: Whether adapters are added to the weights, or left out.

    Raises:
        RefusedError: if the folder has too little room, or nodes have other weights.
    """
    partial = folder.path / "partial"
    if folder.leads:
        shutil.rmtree(partial, ignore_errors=True)
    exchange("emptied")
    folder.refuse_full(written_bytes(model), "the weights of an update, beside the last ones")
    if num_ranks() == 1:
        model.save_pretrained(partial, state_dict=_with_head(model, merged=merged))
    else:
        _write_parts(model, partial, folder, merged=merged)
    digest = hashlib.sha256()
    for of_file in _digests(partial, folder):
        digest.update(of_file)
    named = folder.path / digest.hexdigest()
    if folder.leads:
        shutil.rmtree(named, ignore_errors=True)
        partial.rename(named)
    exchange("named")
    return named, f"sha256:{digest.hexdigest()}"


def fingerprint(parameters: Iterable[Tensor]) -> list[int]:
    """Return a number for each parameter, or for this rank's part of it: the sum of its bits."""
    sums: list[Tensor] = []
    for parameter in parameters:
        own = local(parameter.detach()).contiguous()
        sums.append(own.view(_BITS[own.element_size()]).sum(dtype=torch.int64))
    return torch.stack(sums).tolist()


def written_bytes(model: PreTrainedModel) -> int:
    """Return the bytes of the files that ``write_weights`` makes.

    The output head counts also where it is the embeddings' tensor, for it is written once more.
    """
    precision = precision_of(model)
    sizes = [
        (t.numel(), (precision if precision and t.is_floating_point() else t.dtype).itemsize)
        for t in _without_adapters(model.state_dict()).values()
    ]
    return sum(number * size for number, size in sizes)


def _write_parts(
    model: PreTrainedModel, partial: Path, folder: WeightsFolder, *, merged: bool
) -> None:
    """Write each part's weights to a file of its own, by one rank after the other. Collective."""
    if folder.leads:
        partial.mkdir()
        model.config.save_pretrained(partial)
    exchange("made")
    state = model.state_dict()
    for number, names in enumerate(weights_by_part(model).values()):
        weights = _put_together(model, {name: state[name] for name in names}, merged=merged)
        if folder.is_dealt(number):
            named = revert_weight_conversion(model, weights)
            contiguous = {name: tensor.cpu().contiguous() for name, tensor in named.items()}
            save_file(contiguous, partial / f"part-{number:05d}.safetensors", {"format": "pt"})
    exchange("written")


@torch.no_grad()
def _put_together(
    model: PreTrainedModel, state: Mapping[str, Tensor], *, merged: bool
) -> dict[str, Tensor]:
    """Return a part's whole weights, named as in the bare model. Collective."""
    bare = _without_adapters(state)
    weights = {name: whole(as_computed(model, tensor)) for name, tensor in bare.items()}
    if not merged:
        return weights
    for name in sorted(
        n for n in weights if f"{n.removesuffix('weight')}base_layer.weight" in state
    ):
        module: Any = model.get_submodule(name.removesuffix(".weight"))  # PEFT's has no stable type
        with _whole_factors(module):
            [adapter] = module.lora_A
            weights[name] = weights[name] + module.get_delta_weight(adapter)
    return weights


def _without_adapters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that adapters are added to, named as in the bare model."""
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in state.items()
        if ".lora_" not in name
    }


def as_computed(model: PreTrainedModel, tensor: Tensor) -> Tensor:
    """Return a shard in the precision that the policy computes in; whole tensors have it."""
    precision = precision_of(model)
    is_cast = isinstance(tensor, DTensor) and precision is not None and tensor.is_floating_point()
    return tensor.to(precision) if is_cast else tensor


@contextmanager
def _whole_factors(module: Any) -> Iterator[None]:  # noqa: ANN401 - see above
    """Put an adapter's factors together within the context. Collective."""
    with ExitStack() as stack:
        for factors in (module.lora_A, module.lora_B):
            for factor in factors.values():
                own = {n: nn.Parameter(whole(p)) for n, p in factor.named_parameters(recurse=False)}
                stack.enter_context(holding(factor, own))
        yield


def _with_head(model: PreTrainedModel, *, merged: bool) -> dict[str, Tensor]:
    """Return the weights, the output head among them where it is the embeddings' tensor.

    A server on a CPU keeps a packed copy of the head, which it makes anew only from a tensor of
    the head's own name. Else it would answer with the head that it started with.
    """
    is_merged = merged and any(".lora_" in name for name, _ in model.named_parameters())
    state = merged_weights(model) if is_merged else _without_adapters(model.state_dict())
    tied = getattr(model, "all_tied_weights_keys", {})
    return {name: tensor.clone() if name in tied else tensor for name, tensor in state.items()}


def _digests(partial: Path, folder: WeightsFolder) -> list[bytes]:
    """Return the digests of all files in order; each rank computes some of them. Collective."""
    own = {}
    for number, file in enumerate(sorted(partial.glob("*.safetensors"))):
        if folder.is_dealt(number):
            with file.open("rb") as stream:
                own[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    found: dict[str, str] = {}
    for of_rank in exchange_json(dict(own)):
        assert isinstance(of_rank, dict)
        for name, text in of_rank.items():
            if found.setdefault(name, str(text)) != text:
                raise RefusedError(
                    "copies-differ",
                    f"two nodes wrote other weights to {name}, so their servers would sample from "
                    "other policies: use one kind of GPU, and one software, on all nodes",
                )
    return [bytes.fromhex(found[name]) for name in sorted(found)]
