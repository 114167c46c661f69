"""Writes the student of a loop as a standard checkpoint, merged and in fp32."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from tasks.model.files import MAX_SHARD, Policy, load_model, save_policy
from tasks.model.lora import load_adapter, merged_weights, save_adapter
from tasks.model.shards import collected
from tasks.onpolicy.learner import Learner
from tasks.platform.ranks import num_ranks, rank

ADAPTER = "adapter"
"""Folder of a LoRA student's adapters, inside the folder of the merged model."""


def save_student(learner: Learner, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    """Write a normal Hugging Face folder with the masters and return it. Collective.

    For a LoRA student it holds the merged model, and in ``adapter`` A and B in PEFT's format.
    """
    model, adapter = learner.model, learner.settings.adapter
    if adapter is not None:
        weights = collected(learner.optimizer.masters())
        if rank() == 0:
            save_adapter(weights, adapter, folder / ADAPTER)
            _save_merged(Path(str(model.name_or_path)), tokenizer, folder)
    elif num_ranks() > 1:
        state = collected(dict(model.named_parameters()))
        if rank() == 0:
            model.save_pretrained(folder, state_dict=state, max_shard_size=MAX_SHARD)
            tokenizer.save_pretrained(folder)
    else:
        with learner.optimizer.full_precision():
            save_policy(Policy(model, tokenizer), folder)
    return folder


def _save_merged(base: Path, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Merge into the base as it was loaded; the student's copy may have less precision."""
    model = load_model(base).float()
    load_adapter(model, folder / ADAPTER)
    model.save_pretrained(folder, state_dict=merged_weights(model), max_shard_size=MAX_SHARD)
    tokenizer.save_pretrained(folder)
