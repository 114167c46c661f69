"""Models as Hugging Face folders: load one without running its code, save one without pickles.

Safetensors files are read by their header; their tensors are views of the mapped file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from lineage.store.sizes import weights_in
from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import attention_for, positions_in
from tasks.model.formats import refuse_other_weights
from tasks.model.images import ImageReader, reader_in, reads_images
from tasks.model.log_probs import refuse_other_logits

MAX_SHARD = "4GB"

disable_progress_bar()  # a bar for each file would say nothing that our own progress does not


@dataclass(frozen=True)
class Policy:
    """A causal LM with its tokenizer and chat template."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_policy(folder: Path, *, takes_images: bool = False) -> Policy:
    """Return the model and the tokenizer of a folder.

    Raises:
        RefusedError: as ``load_model``; ``image-text-model`` for one that reads images too, unless
            the step ``takes_images``.
    """
    return Policy(_load(folder, takes_images=takes_images)[0], load_tokenizer(folder))


def load_model(folder: Path) -> PreTrainedModel:
    """Return the causal LM of a folder, in the precision that it was saved in.

    Only safetensors are read, no code of the folder runs, and we choose the attention kernel,
    because a kernel named in the config would be downloaded and run.

    Raises:
        ValueError: if weights are missing or have another shape than in the config; transformers
            would initialize them at random and continue.
    """
    model, _ = _load(folder)
    return model


def load_whole_model(folder: Path) -> PreTrainedModel:
    """Return the model of a folder in fp32, if it has a place for every weight of the folder.

    A config may name a precision that is less than that of the weights.

    Raises:
        ValueError: for weights that the config does not describe, too.
    """
    model, unused = _load(folder, dtype=torch.float32)
    if unused:
        raise RefusedError(
            "unused-weights",
            f"{folder} holds {len(unused)} weights for which its config has no place: "
            f"{unused[:3]}. It is not the model that config.json describes: save or fetch the "
            "checkpoint again",
        )
    return model


def _load(
    folder: Path, *, takes_images: bool = False, dtype: torch.dtype | str = "auto"
) -> tuple[PreTrainedModel, list[str]]:
    """Return the model of a folder, and its weights that the model does not have."""
    refuse_other_weights(folder)
    refuse_foreign_code(folder)
    for file in folder.glob("*.safetensors"):
        read_header(file)  # else a truncated file is an error of the library, without its name
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if reads_images(config) and not takes_images:
        raise RefusedError(
            "image-text-model",
            f"{folder} holds a model of images and text ({type(config).__name__}), and this step "
            "takes text alone: give it a text model, or use one of the steps that take images "
            "(docs/concepts/stages.md, Text and images)",
        )
    attention = "sdpa" if reads_images(config) else attention_for(config)
    kind = AutoModelForImageTextToText if reads_images(config) else AutoModelForCausalLM
    _refuse_larger_model(folder, config, attention, kind)
    loaded: object = kind.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        attn_implementation=attention,
        dtype=dtype,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    model, found = cast("tuple[PreTrainedModel, dict[str, set[tuple[str, ...] | str]]]", loaded)
    other = {entry[0] for entry in found["mismatched_keys"]}
    absent = sorted({str(name) for name in found["missing_keys"]} | other)
    if absent:
        raise RefusedError(
            "missing-weights",
            f"{folder} lacks {len(absent)} weights of its config, or has them in another shape: "
            f"{absent[:3]}. It is not the model that config.json describes: save or fetch the "
            "checkpoint again",
        )
    refuse_other_logits(model)
    return model, sorted(str(name) for name in found["unexpected_keys"])


def max_positions(folder: Path) -> int | None:
    """Return how many tokens the model of a folder takes; None if its config states no limit."""
    return positions_in(
        AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    )


def load_images(folder: Path) -> ImageReader | None:
    """Return what reads the images of a folder's model; None for a model of text."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return reader_in(config)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a folder with its chat template."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return tokenizer


def save_policy(policy: Policy, folder: Path) -> Path:
    """Write a normal Hugging Face folder, load it once, and return it.

    Every checkpoint of a causal LM is saved here or by the loop, which loads it too: no record may
    say that one is finished which cannot be loaded.

    Raises:
        RefusedError: if what was written cannot be loaded.
    """
    write_policy(policy, folder)
    load_policy(folder, takes_images=True)
    return folder


def write_policy(policy: Policy, folder: Path) -> Path:
    """Write a normal Hugging Face folder and return it; who calls this loads it."""
    policy.model.save_pretrained(folder, max_shard_size=MAX_SHARD)
    policy.tokenizer.save_pretrained(folder)
    reader = reader_in(policy.model.config)
    if reader is not None:
        reader.processor.save_pretrained(folder)
    return folder


def _refuse_larger_model(
    folder: Path,
    config: PretrainedConfig,
    attention: str,
    kind: type[AutoModelForCausalLM] | type[AutoModelForImageTextToText],
) -> None:
    """Raise ValueError for a config with many more weights than the files hold.

    transformers allocates memory for all of them before it looks for them.
    """
    with torch.device("meta"):
        empty = kind.from_config(  # type: ignore[no-untyped-call]
            config, attn_implementation=attention, trust_remote_code=False
        )
    asked = sum(parameter.numel() for parameter in empty.parameters())
    held = weights_in(folder).elements
    if held and asked > 2 * held:
        raise RefusedError(
            "config-of-other-weights",
            f"the config of {folder} asks for {asked} weights, but its files hold {held}. It is "
            "not the model that config.json describes: save or fetch the checkpoint again",
        )


def refuse_foreign_code(folder: Path) -> None:
    """Raise RefusedError for a folder with a config that asks to run foreign code."""
    config_file = folder / "config.json"
    if not config_file.is_file():
        return
    config = json.loads(config_file.read_text("utf-8"))
    kernel = str(config.get("_attn_implementation") or "")
    if "auto_map" in config or "/" in kernel:
        what = f"the attention kernel {kernel!r}" if "/" in kernel else "auto_map"
        raise RefusedError(
            "own-code",
            f"{config_file} asks to run its own code ({what}), which is never done: use a model "
            "with an architecture in transformers, or remove the entry",
        )


def read_header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of each tensor of a safetensors file.

    Raises:
        ValueError: if the file is not a safetensors file, or is truncated.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {n: (s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise RefusedError(
            "broken-safetensors",
            f"{file} cannot be read as safetensors ({error}): fetch the checkpoint again",
        ) from error


def map_file(file: Path) -> dict[str, Tensor]:
    """Return a safetensors file's tensors as views of the mapped file; nothing is copied."""
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def refuse_non_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError naming a tensor with a NaN or an infinity.

    One pass without a temporary: minimum and maximum of a tensor are NaN if any number is.
    """
    bad = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if bad:
        raise RefusedError(
            "not-finite",
            f"{len(bad)} of {len(tensors)} weight tensors hold NaN or infinity, {bad[0]} among "
            "them: the checkpoint was damaged or its training diverged; release an earlier rung",
        )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    low, high = torch.aminmax(tensor.float() if tensor.itemsize == 1 else tensor)
    return bool(torch.isfinite(low) & torch.isfinite(high))
