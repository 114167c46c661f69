"""A student that learns by LoRA adapters (2106.09685), by PEFT: y = W x + (alpha / r) B A x.

A and B of every attention and MLP projection are trained, all else is frozen. The ledger splits the
changes of A and of B by source exactly. It does not split the change of the weights that the
student computes with: their change is (alpha / r) times the change of the product B A, in which
dB dA belongs to two sources at once. What one source's dA or dB is worth is known to first order.

PEFT is an optional dependency (the extra ``lora``) and takes seconds to import, so it is imported
where an adapter is really made or read.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tasks.model.settings import AdapterSettings

if TYPE_CHECKING:
    from peft import LoraConfig

_NAME = "default"
_PREFIX = "base_model.model."
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_projection(module: nn.Module) -> TypeGuard[nn.Linear | Conv1D]:
    """Say whether a module of a model's body gets an adapter."""
    return isinstance(module, nn.Linear | Conv1D)


def add_adapter(model: PreTrainedModel, settings: AdapterSettings) -> None:
    """Freeze a model and put adapters beside its projections, in place; B is zero, A is drawn.

    The model computes what it did before. A is drawn from the settings' seed, so that every rank
    and every resumed run begins with the same one.

    Raises:
        ModuleNotFoundError: without PEFT.
    """
    try:
        from peft import inject_adapter_in_model  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the settings ask for a LoRA student, which needs PEFT: install the extra `lora` "
            "(pip install provost[lora]), or train all weights with adapter set to None"
        ) from error
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        inject_adapter_in_model(_config(settings), model, adapter_name=_NAME)


def save_adapter(weights: Mapping[str, Tensor], settings: AdapterSettings, folder: Path) -> Path:
    """Write a folder in PEFT's format, and return it.

    ``weights`` are A and B by the names that they have in the model, whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(settings)
    config.inference_mode = True
    config.save_pretrained(str(folder))
    tensors = {
        _PREFIX + name.replace(f".{_NAME}.", "."): tensor.detach().cpu().contiguous()
        for name, tensor in weights.items()
    }
    save_file(tensors, folder / _WEIGHTS, {"format": "pt"})
    return folder


@torch.no_grad()
def load_adapter(model: PreTrainedModel, folder: Path) -> None:
    """Put the adapters of a folder that ``save_adapter`` wrote beside a model's projections.

    Raises:
        ValueError: if they are of a model with other projections.
    """
    config = json.loads((folder / _CONFIG).read_text("utf-8"))
    add_adapter(model, AdapterSettings(rank=config["r"], alpha=config["lora_alpha"]))
    own = {name: weight for name, weight in model.named_parameters() if ".lora_" in name}
    saved = {
        re.sub(r"\.(lora_[AB])\.", rf".\1.{_NAME}.", name.removeprefix(_PREFIX)): tensor
        for name, tensor in load_file(folder / _WEIGHTS).items()
    }
    differ = [
        name
        for name in sorted(own.keys() | saved.keys())
        if name not in own or name not in saved or own[name].shape != saved[name].shape
    ]
    if differ:
        raise ValueError(
            f"{folder} is an adapter of another model than {model.name_or_path}: {differ[:3]} are "
            "in one of them alone, or of another shape; load it on the base that it was trained on"
        )
    for name, weight in own.items():
        weight.copy_(saved[name])


@torch.no_grad()
def merged_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return an adapted model's weights with (alpha / r) B A added, named as in the bare model."""
    from peft.tuners.lora import Linear  # noqa: PLC0415

    state = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name
    }
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            state[f"{name}.weight"] = state[f"{name}.weight"] + module.get_delta_weight(_NAME)
    return state


def _config(settings: AdapterSettings) -> "LoraConfig":
    from peft import LoraConfig  # noqa: PLC0415

    # PEFT's "all-linear" is every projection of attention and MLP, and not the output head.
    return LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear", bias="none"
    )
