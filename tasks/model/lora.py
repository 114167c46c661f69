"""LoRA adapters (2106.09685) of a model that trains: y = W x + (alpha / r) B A x, by PEFT.

A student trains A and B of every attention and MLP projection; all else is frozen. The ledger
splits the changes of A and of B by source exactly. It does not split the change of the weights that
the student computes with: their change is (alpha / r) times the change of the product B A, in which
dB dA belongs to two sources at once. The effect of one source's dA or dB is known to first order.
PEFT is an optional dependency (the extra ``lora``) and takes seconds to import, so the functions
that need it import it.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import ALL_LINEAR, adapter_targets
from tasks.model.lora_factors import PREFIX, WEIGHTS, LoraAdapter
from tasks.model.settings import AdapterSettings

if TYPE_CHECKING:
    from peft import LoraConfig


_NAME = "default"


def add_adapter(model: PreTrainedModel, settings: AdapterSettings) -> None:
    """Freeze a model and add adapters to its projections, in place; B is zero, A is random.

    The model's output does not change. A is drawn from the settings' seed, so that every rank and
    every resumed run starts with the same A.

    Raises:
        ModuleNotFoundError: without PEFT.
    """
    try:
        from peft import inject_adapter_in_model  # noqa: PLC0415 - takes seconds
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the settings select a LoRA student, which needs PEFT: install the extra `lora` (pip "
            "install provost[lora]), or train all weights with adapter set to None"
        ) from error
    config = _config(settings, adapter_targets(model))
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT gives experts a rank of their own, and says that it found none to give it to.
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys", RuntimeWarning)
        torch.manual_seed(settings.seed)
        inject_adapter_in_model(config, model, adapter_name=_NAME)


def save_adapter(
    weights: Mapping[str, Tensor],
    settings: AdapterSettings,
    folder: Path,
    targets: str | list[str] = ALL_LINEAR,
) -> Path:
    """Write a folder in PEFT's format, and return it.

    ``weights`` are the whole A and B, by their names in the model; ``targets`` its modules that
    have them (``adapter_targets``).
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(settings, targets)
    config.inference_mode = True
    config.save_pretrained(str(folder))
    tensors = {
        PREFIX + name.replace(f".{_NAME}.", "."): tensor.detach().cpu().contiguous()
        for name, tensor in weights.items()
    }
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    return folder


@torch.no_grad()
def load_adapter(model: PreTrainedModel, folder: Path, *, is_added: bool = False) -> None:
    """Load the adapters of a folder that ``save_adapter`` wrote into a model.

    Args:
        model: The base of the adapters.
        folder: The folder.
        is_added: Whether the model has such adapters already; else they are added.

    Raises:
        ValueError: if they belong to a model with other projections.
    """
    adapter = LoraAdapter(folder)
    if not is_added:
        add_adapter(model, adapter.settings)
    own = adapter_weights(model)
    saved = {
        f"{module}.lora_{factor}.{_NAME}.weight": tensor
        for module, part in adapter.modules.items()
        for factor, tensor in (("A", part.a_rI), ("B", part.b_Or))
    }
    shapes = {(n, w.shape) for n, w in own.items()} ^ {(n, w.shape) for n, w in saved.items()}
    differ = sorted({name for name, _ in shapes})
    if differ:
        raise RefusedError(
            "adapter-of-other-model",
            f"{folder} is an adapter of another model than {model.name_or_path}: {differ[:3]} are "
            "in only one of them, or have another shape. Load it on the base of its training",
        )
    for name, weight in own.items():
        weight.copy_(saved[name])


def adapter_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return A and B of each adapted module by name, in the model's memory; {} without adapters."""
    return {name: p.detach() for name, p in model.named_parameters() if ".lora_" in name}


def in_place_of_base(model: PreTrainedModel, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a whole model's weights by the names of an adapted model, with B at zero.

    A model without adapters has the names that are given.
    """
    own = dict(model.named_parameters())
    moved = {name.replace(".base_layer.", "."): name for name in own if ".lora_" not in name}
    without = {name: torch.zeros_like(p) for name, p in own.items() if ".lora_B." in name}
    return {moved[name]: tensor for name, tensor in whole.items()} | without


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


def _config(settings: AdapterSettings, targets: str | list[str]) -> "LoraConfig":
    from peft import LoraConfig  # noqa: PLC0415

    rank, alpha = settings.rank, settings.alpha
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, bias="none")
