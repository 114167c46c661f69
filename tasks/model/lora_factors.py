"""LoRA adapters of a folder in PEFT's format, read by hand, so that many share a base.

Rank-stabilized LoRA (2312.03732) has alpha / sqrt(r) in the place of alpha / r. Shapes: r rank, I
inputs of a module, O its outputs.
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

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import widths
from tasks.model.files import map_file, read_header, refuse_non_finite
from tasks.model.settings import AdapterSettings

PREFIX = "base_model.model."
_CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FACTOR = re.compile(re.escape(PREFIX) + r"(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")
_USED = {"peft_type", "lora_alpha", "alpha_pattern", "use_rslora", "bias", "init_lora_weights"}
_OF_NO_CONSEQUENCE = {
    *("auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying"),
    *("eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "layers_pattern"),
    *("layers_to_transform", "loftq_config", "lora_dropout", "megatron_core", "peft_version"),
    *("qalora_group_size", "r", "rank_pattern", "revision", "runtime_config"),
    *("target_modules", "task_type"),
}
"""Settings that matter only in training, or follow from the tensors' names and shapes."""
_LEAVES_BASE_ALONE = (True, False, "gaussian", "eva", "orthogonal")
"""Initializations of A and B that keep the base; PiSSA, OLoRA, LoftQ and others change it."""


@dataclass(frozen=True)
class LowRank:
    """The low-rank update of one module."""

    a_rI: Tensor
    b_Or: Tensor
    scale: float

    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Return the module's output with this added; computed in the adapter's precision."""
        inner = nn.functional.linear(inputs[0].to(self.a_rI.dtype), self.a_rI)
        return (output + nn.functional.linear(inner, self.b_Or) * self.scale).to(output.dtype)


class LoraAdapter:
    """A folder's LoRA factors, by the module that they are added to."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            ValueError: if it is not a LoRA adapter, does more than add low-rank factors to linear
                modules, lacks a factor, or holds NaN or infinity.
        """
        file = folder / _CONFIG
        if not file.is_file():
            raise RefusedError(
                "no-adapter-config",
                f"{folder} has no adapter_config.json, but a base was given for it: give a folder "
                "saved by PEFT, or leave the base out for a whole model",
            )
        config = json.loads(file.read_text("utf-8"))
        _refuse_unknown(config, file)
        self.folder, self._config = folder, config
        read_header(folder / WEIGHTS)  # says what is wrong with the file
        tensors = map_file(folder / WEIGHTS)
        refuse_non_finite(tensors)
        factors = _pair_up({name: tensor.clone() for name, tensor in tensors.items()}, folder)
        self.modules = {
            module: LowRank(a_rI, b_Or, _scale(config, module, len(a_rI)))
            for module, (a_rI, b_Or) in factors.items()
        }

    @property
    def settings(self) -> AdapterSettings:
        """The rank and alpha that every module has.

        Raises:
            ValueError: if modules have ranks or scales of their own.
        """
        rank, alpha = self._config["r"], self._config["lora_alpha"]
        if any(part.scale != alpha / rank for part in self.modules.values()):
            raise RefusedError(
                "own-scales",
                f"{self.folder} has modules with other scales than {alpha} / {rank}: merge it "
                "into its base, and start from the whole model",
            )
        return AdapterSettings(rank=rank, alpha=alpha)

    @property
    def num_bytes(self) -> int:
        """Bytes of all factors."""
        return sum(part.a_rI.nbytes + part.b_Or.nbytes for part in self.modules.values())

    def check_fits(self, model: PreTrainedModel) -> None:
        """Raise ValueError for a factor of a module that is missing or has another shape."""
        modules = dict(model.named_modules())
        for name, part in self.modules.items():
            wanted = (part.a_rI.shape[1], part.b_Or.shape[0])
            module = modules.get(name)
            if not isinstance(module, nn.Linear | Conv1D) or widths(module) != wanted:
                raise RefusedError(
                    "adapter-of-other-base",
                    f"{self.folder} adapts {name} with {wanted[0]} inputs and {wanted[1]} "
                    "outputs, which its base does not have: give the base that it was trained on",
                )

    def apply_to(self, model: PreTrainedModel, device: torch.device) -> list[RemovableHandle]:
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
        raise RefusedError(
            "not-lora",
            f"{file} has the type {kind!r}, but only LORA is supported: merge the adapter into "
            "its base and release the whole model",
        )
    more = [key for key in config.keys() - _USED - _OF_NO_CONSEQUENCE if config[key]]
    if config.get("bias", "none") != "none":
        more.append("bias")
    if config.get("init_lora_weights", True) not in _LEAVES_BASE_ALONE:
        more.append("init_lora_weights")
    if more:
        excess = ", ".join(f"{key}={config.get(key)!r}" for key in sorted(more))
        raise RefusedError(
            "more-than-low-rank",
            f"{file} needs more than low-rank factors on an unchanged base ({excess}): merge the "
            "adapter into its base and release the whole model",
        )


def _pair_up(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    by_module: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _FACTOR.fullmatch(name)
        if match is None:
            raise RefusedError(
                "not-a-factor",
                f"{folder} holds {name}, which is not a LoRA factor of a linear module: merge the "
                "adapter into its base and release the whole model",
            )
        by_module.setdefault(match["module"], {})[match["factor"]] = tensor
    whole = {
        module: (pair["A"], pair["B"])
        for module, pair in by_module.items()
        if pair.keys() == {*"AB"}
    }
    broken = sorted(by_module.keys() - whole.keys())
    broken += [module for module, (a_rI, b_Or) in whole.items() if len(a_rI) != b_Or.shape[1]]
    if broken or not whole:
        raise RefusedError(
            "missing-factor",
            f"{folder} lacks a LoRA factor, or has two of unequal rank, for {broken[:3] or 'all'}: "
            "save the adapter again",
        )
    return whole


def _scale(config: Mapping[str, object], module: str, rank: int) -> float:
    """Return alpha / r; a module's own alpha is matched by the end of its name, as in PEFT."""
    patterns = config.get("alpha_pattern") or {}
    assert isinstance(patterns, dict)
    own = [a for end, a in patterns.items() if re.match(rf"(.*\.)?({end})$", module)]
    alpha = float(own[0] if own else str(config["lora_alpha"]))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
