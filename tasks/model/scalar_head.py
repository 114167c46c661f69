"""A language model's body with one number as its output: loaded as safely as a policy.

The result is transformers' model for sequence classification with one label, so that other tools
read the saved folder too. Its number is taken at the last token that is not padding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils.logging import get_logger

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import attention_for
from tasks.model.files import read_header, refuse_foreign_code
from tasks.model.formats import refuse_other_weights

_HEAD = "score.weight"
_OUTPUT_HEAD = "lm_head."


def load_scalar_model(folder: Path) -> PreTrainedModel:
    """Return the model of a folder that ``save_pretrained`` of such a model wrote.

    Raises:
        RefusedError: if weights are missing, are left over, or do not fit the config.
    """
    model, missing, unused = _load(folder)
    _refuse(folder, missing, unused)
    return model


def with_scalar_head(folder: Path, seed: int, pad_id: int) -> PreTrainedModel:
    """Return the body of a policy's folder under a new head, drawn from ``seed``.

    The head's weights have the variance 1 / (hidden size + 1), as in Stiennon et al. (2009.01325),
    appendix B.1.

    Raises:
        RefusedError: ``no-reward-head`` for a family without such a model in transformers.
    """
    model, missing, unused = _load(folder)
    other = {name for name in unused if not name.startswith(_OUTPUT_HEAD)}
    _refuse(folder, missing - {_HEAD}, other)
    head = model.get_parameter(_HEAD)
    deviation = (head.shape[1] + 1) ** -0.5
    drawn = torch.randn(head.shape, generator=torch.Generator().manual_seed(seed)) * deviation
    head.data.copy_(drawn)
    model.config.pad_token_id = pad_id
    return model


def drawn_scalar_model(folder: Path, seed: int, pad_id: int) -> PreTrainedModel:
    """Return a model of the shape of a policy's folder, with all weights drawn from ``seed``.

    Raises:
        RefusedError: ``no-reward-head`` for a family without such a model in transformers.
    """
    refuse_foreign_code(folder)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    _refuse_family(config)
    config.num_labels, config.pad_token_id = 1, pad_id
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(
            config, attn_implementation=attention_for(config), trust_remote_code=False
        )
    return cast("PreTrainedModel", model)


def head_shapes(folder: Path) -> list[tuple[int, ...]]:
    """Return the shape of the scalar head in a folder's files; nothing without one."""
    headers = [read_header(file) for file in sorted(folder.glob("*.safetensors"))]
    return [header[_HEAD][1] for header in headers if _HEAD in header]


def _load(folder: Path) -> tuple[PreTrainedModel, set[str], set[str]]:
    """Return the model, the weights that its folder lacks, and those that it does not have."""
    refuse_other_weights(folder)
    refuse_foreign_code(folder)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    _refuse_family(config)
    config.num_labels = 1
    with _without_report():
        loaded: object = AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation=attention_for(config),
            dtype="auto",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    model, found = cast("tuple[PreTrainedModel, dict[str, set[tuple[str, ...] | str]]]", loaded)
    missing = {str(name) for name in found["missing_keys"]}
    missing |= {str(entry[0]) for entry in found["mismatched_keys"]}
    return model, missing, {str(name) for name in found["unexpected_keys"]}


@contextmanager
def _without_report() -> Iterator[None]:
    """Keep transformers from warning of the new head; what else is wrong is refused here."""
    logger = get_logger("transformers")
    level = logger.level
    logger.setLevel(ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _refuse_family(config: PretrainedConfig) -> None:
    if type(config) not in AutoModelForSequenceClassification._model_mapping:
        raise RefusedError(
            "no-reward-head",
            f"transformers has no model with a scalar head for {type(config).__name__}: start "
            "from a model of another family, such as Llama, Qwen or Gemma",
        )


def _refuse(folder: Path, missing: set[str], unused: set[str]) -> None:
    if missing or unused:
        raise RefusedError(
            "missing-weights" if missing else "unused-weights",
            f"{folder} lacks {len(missing)} weights of a model with a scalar head and holds "
            f"{len(unused)} others: {sorted(missing | unused)[:3]}. It is not the model that "
            "config.json describes: save or fetch the checkpoint again",
        )
