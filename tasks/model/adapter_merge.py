"""LoRA adapters that others trained, merged into the model that they were trained on."""

import json
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tasks.contracts.refusal import RefusedError
from tasks.model.ancestry import CheckpointTensors, ancestry
from tasks.model.lora_factors import LoraAdapter

CONFIG = "adapter_config.json"
MOST_DISTANCE = 0.005
"""Maximum relative distance of one model in two precisions: bf16 rounds by up to 2^-8 = 0.004."""


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter rather than a model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


@torch.no_grad()
def merge_adapter(model: PreTrainedModel, folder: Path) -> None:
    """Add the low-rank factors of a PEFT folder to a model's weights, in place.

    Raises:
        RefusedError: for an adapter that does more than add factors, or fits another model.
    """
    adapter = LoraAdapter(folder)
    adapter.check_fits(model)
    for name, part in adapter.modules.items():
        module = model.get_submodule(name)
        added = (part.b_Or.float() @ part.a_rI.float()) * part.scale
        assert isinstance(module, nn.Linear | Conv1D)
        module.weight += added.T if isinstance(module, Conv1D) else added


def refuse_other_base(folder: Path, base: Path, known_as: str) -> None:
    """Refuse an adapter that names another base than the one it is to be merged into.

    A base on this machine is compared by its weights, one of the Hub by its id.

    Args:
        folder: The adapter.
        base: Folder of the model to merge it into.
        known_as: Hub id of that model; "" if unknown.

    Raises:
        RefusedError: for an adapter of another base.
    """
    named = str(json.loads((folder / CONFIG).read_text("utf-8")).get("base_model_name_or_path"))
    if Path(named).is_dir():
        found = ancestry(Path(named), CheckpointTensors("base", base), None, [])
        if found is None or found.distance <= MOST_DISTANCE:
            return
        why = f"whose weights are {found.distance:.1%} away from it"
    elif known_as and "/" in named and not named.startswith(("/", ".")) and named != known_as:
        why = f"and it is {known_as}"
    else:
        return
    raise RefusedError(
        "adapter-of-other-base",
        f"{folder} was trained on {named}, {why}: give the fork point that the adapter was trained "
        "on, which `provost checkpoint import` registers",
    )
