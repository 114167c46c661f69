"""Writes the student of a loop as a standard checkpoint, merged, in fp32 or rounded to bf16."""

import json
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.model.files import MAX_SHARD, Policy, load_model, load_policy, write_policy
from tasks.model.lora import load_adapter, merged_weights, save_adapter
from tasks.model.saving import DTYPES, held_in, squares
from tasks.model.settings import Precision
from tasks.model.shards import collected, local, sum_over_parts
from tasks.onpolicy.learner import Learner
from tasks.platform.ranks import num_ranks, rank

ADAPTER = "adapter"
"""Folder of a LoRA student's adapters, inside the folder of the merged model."""


def save_student(learner: Learner, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    """Write a normal Hugging Face folder with the student and return it. Collective.

    For a LoRA student it holds the merged model, and in ``adapter`` A and B in PEFT's format.

    Raises:
        ValueError: if what was written cannot be loaded.
    """
    model, adapter = learner.model, learner.settings.adapter
    kept = DTYPES[learner.settings.saved_precision]
    if adapter is not None:
        weights = collected(learner.optimizer.masters())
        if rank() == 0:
            save_adapter(weights, adapter, folder / ADAPTER, learner.adapted)
            _save_merged(Path(str(model.name_or_path)), tokenizer, folder, kept)
    elif num_ranks() > 1:
        state = collected(dict(model.named_parameters()))
        if rank() == 0:
            _save_state(model, state, folder, kept)
            tokenizer.save_pretrained(folder)
    else:
        with learner.optimizer.full_precision(), held_in(model, kept):
            write_policy(Policy(model, tokenizer), folder)
    if rank() == 0:
        load_policy(folder, takes_images=True)  # before a record says that it is finished
    return folder


def saving_note(learner: Learner) -> dict[str, JsonValue]:
    """Return what saving rounds away, as a note for the student's record. Collective.

    The share is that of the norm of the trained weights. For a LoRA student it is left out: its
    trained weights are saved in fp32, and the merged weights are rounded once.
    """
    settings = learner.settings
    note: dict[str, JsonValue] = {"precision": settings.saved_precision.value}
    if settings.saved_precision is Precision.FP32 or settings.adapter is not None:
        return note
    masters = learner.optimizer.masters()
    kept = DTYPES[settings.saved_precision]
    own = squares(map(local, masters.values()), kept)
    lost_square, square = sum_over_parts(own, masters.values()).tolist()
    return note | {"rounding": (lost_square / square) ** 0.5}


def _save_merged(
    base: Path, tokenizer: PreTrainedTokenizerBase, folder: Path, kept: torch.dtype
) -> None:
    """Merge into the base as it was loaded; the student's copy may have less precision."""
    model = load_model(base).float()
    load_adapter(model, folder / ADAPTER)
    _save_state(model, merged_weights(model), folder, kept)
    tokenizer.save_pretrained(folder)


def _save_state(
    model: PreTrainedModel, state: dict[str, Tensor], folder: Path, kept: torch.dtype
) -> None:
    """Save weights that the model does not hold; its config names their precision."""
    rounded = {name: tensor.to(kept) for name, tensor in state.items()}
    model.save_pretrained(folder, state_dict=rounded, max_shard_size=MAX_SHARD)
    if kept is not torch.float32:
        file = folder / "config.json"
        config = json.loads(file.read_text("utf-8"))
        config["dtype"] = str(kept).removeprefix("torch.")
        file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
