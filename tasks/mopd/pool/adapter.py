"""LoRA adapters in PEFT's format, worn by a skeleton that holds their base. PEFT is not needed.

LoRA (2106.09685) section 4.1: y = W x + (alpha / r) B A x, with alpha / sqrt(r) for the
rank-stabilised form (2312.03732). The base's weights are not touched, so many adapters share them.

Shapes: r rank, I inputs of the module, O its outputs.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tasks.mopd.pool.checkpoint import map_file, read_header, refuse_non_finite

_FORM = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")
_USED = {"peft_type", "lora_alpha", "alpha_pattern", "use_rslora", "bias", "init_lora_weights"}
_OF_NO_CONSEQUENCE = {
    *("auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying"),
    *("eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "layers_pattern"),
    *("layers_to_transform", "loftq_config", "lora_dropout", "megatron_core", "peft_version"),
    *("qalora_group_size", "r", "rank_pattern", "revision", "runtime_config"),
    *("target_modules", "task_type"),
}
"""What matters in training only, or is told again by the tensors' names and shapes."""
_LEAVES_BASE_ALONE = (True, False, "gaussian", "eva", "orthogonal")
"""First values of A and B; PiSSA, OLoRA, LoftQ and their like change the base's weights too."""


@dataclass(frozen=True)
class LowRank:
    """What is added to one module."""

    a_rI: Tensor
    b_Or: Tensor
    scale: float

    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Return the module's output with this added; computed in the adapter's precision."""
        inner = nn.functional.linear(inputs[0].to(self.a_rI.dtype), self.a_rI)
        return (output + nn.functional.linear(inner, self.b_Or) * self.scale).to(output.dtype)


class Adapter:
    """A folder's LoRA factors, by the module that they are added to."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            ValueError: if it is no LoRA adapter, does more than add low-rank factors to linear
                modules, lacks a factor, or holds NaN or infinity.
        """
        file = folder / "adapter_config.json"
        if not file.is_file():
            raise ValueError(
                f"{folder} has no adapter_config.json, but a base is given for it: give a folder "
                "that PEFT has saved, or leave the base out for a whole model"
            )
        config = json.loads(file.read_text("utf-8"))
        _refuse_unknown(config, file)
        self.folder = folder
        read_header(folder / "adapter_model.safetensors")  # says what is wrong with the file
        tensors = map_file(folder / "adapter_model.safetensors")
        refuse_non_finite(tensors)
        factors = _pair_up({name: tensor.clone() for name, tensor in tensors.items()}, folder)
        self.modules = {
            module: LowRank(a_rI, b_Or, _scale(config, module, len(a_rI)))
            for module, (a_rI, b_Or) in factors.items()
        }

    @property
    def num_bytes(self) -> int:
        """Bytes of all factors."""
        return sum(part.a_rI.nbytes + part.b_Or.nbytes for part in self.modules.values())

    def check_fits(self, model: PreTrainedModel) -> None:
        """Raise ValueError for a factor whose module the base lacks, or has in another shape."""
        modules = dict(model.named_modules())
        for name, part in self.modules.items():
            wanted = (part.a_rI.shape[1], part.b_Or.shape[0])
            if _inputs_and_outputs(modules.get(name)) != wanted:
                raise ValueError(
                    f"{self.folder} adapts {name} with {wanted[0]} inputs and {wanted[1]} "
                    "outputs, which its base does not have: give the base that it was trained on"
                )

    def put_on(self, model: PreTrainedModel, device: torch.device) -> list[RemovableHandle]:
        """Add the factors to a model's modules until the handles are removed."""
        return [
            model.get_submodule(name).register_forward_hook(
                LowRank(part.a_rI.to(device), part.b_Or.to(device), part.scale)
            )
            for name, part in self.modules.items()
        ]


def _refuse_unknown(config: Mapping[str, object], file: Path) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ValueError(
            f"{file} is of the type {kind!r}, and only LORA is known: merge the adapter into its "
            "base and release the whole model"
        )
    more = [key for key in config.keys() - _USED - _OF_NO_CONSEQUENCE if config[key]]
    if config.get("bias", "none") != "none":
        more.append("bias")
    if config.get("init_lora_weights", True) not in _LEAVES_BASE_ALONE:
        more.append("init_lora_weights")
    if more:
        said = ", ".join(f"{key}={config.get(key)!r}" for key in sorted(more))
        raise ValueError(
            f"{file} asks for more than low-rank factors beside an unchanged base ({said}): merge "
            "the adapter into its base and release the whole model"
        )


def _pair_up(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        form = _FORM.fullmatch(name)
        if form is None:
            raise ValueError(
                f"{folder} holds {name}, which is no LoRA factor of a linear module: merge the "
                "adapter into its base and release the whole model"
            )
        found.setdefault(form["module"], {})[form["factor"]] = tensor
    whole = {
        module: (pair["A"], pair["B"]) for module, pair in found.items() if pair.keys() == {*"AB"}
    }
    broken = sorted(found.keys() - whole.keys())
    broken += [module for module, (a_rI, b_Or) in whole.items() if len(a_rI) != b_Or.shape[1]]
    if broken or not whole:
        raise ValueError(
            f"{folder} lacks a LoRA factor, or has two of unequal rank, for {broken[:3] or 'all'}: "
            "save the adapter again"
        )
    return whole


def _scale(config: Mapping[str, object], module: str, rank: int) -> float:
    """Return alpha / r; an own alpha is given by the end of a module's name, as PEFT matches it."""
    patterns = config.get("alpha_pattern") or {}
    assert isinstance(patterns, dict)
    own = [a for end, a in patterns.items() if re.match(rf"(.*\.)?({end})$", module)]
    alpha = float(own[0] if own else str(config["lora_alpha"]))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _inputs_and_outputs(module: nn.Module | None) -> tuple[int, int] | None:
    if isinstance(module, Conv1D):
        return module.weight.shape[0], module.weight.shape[1]
    if isinstance(module, nn.Linear):
        return module.weight.shape[1], module.weight.shape[0]
    return None
