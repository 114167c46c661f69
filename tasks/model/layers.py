"""A checkpoint in parts: the layers of a model one by one, for models that no process holds whole.

``empty_model`` makes a model without weights. ``LayerReader`` reads one part's weights: one of the
repeated layers, the rest of the body, or the output head. transformers converts them as it does
when it loads the whole model, so the numbers are the same. A weight that the file holds as the
model uses it stays a view of the mapped file. Others, such as the experts of most mixtures, which
files hold one by one, are assembled in memory, for one layer at a time.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    convert_and_load_state_dict_in_model,
    rename_source_key,
)
from transformers.modeling_utils import LoadStateDictConfig

from lineage.store.sizes import weights_in
from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import attention_for, blocks, body_of
from tasks.model.files import refuse_foreign_code
from tasks.model.formats import refuse_other_weights

BODY, HEAD = "body", "head"
"""Names of the parts beside the layers, which are named as the model names them."""


def empty_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Return the causal LM of a folder without weights: parameters on "meta", buffers as they are.

    Args:
        folder: A Hugging Face folder. None of its code runs.
        dtype: Precision of the weights if the config names none.

    Raises:
        RefusedError: for a folder that is not a whole model in safetensors, needs its own code,
            reads images, or holds many fewer weights than its config describes.
    """
    refuse_other_weights(folder)
    refuse_foreign_code(folder)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with init_empty_weights(include_buffers=False):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config,
            dtype=config.dtype or dtype,
            attn_implementation=attention_for(config),
            trust_remote_code=False,
        )
    wanted = sum(parameter.numel() for parameter in model.parameters())
    held = weights_in(folder).elements
    if held and wanted > 2 * held:
        raise RefusedError(
            "config-of-other-weights",
            f"the config of {folder} describes {wanted} weights, but its files hold {held}. It is "
            "not the model that config.json describes: save or fetch the checkpoint again",
        )
    model.eval().requires_grad_(requires_grad=False)
    return model


class LayerReader:
    """Reads checkpoints of one architecture part by part."""

    def __init__(self, model: PreTrainedModel, keys: tuple[str, ...]) -> None:
        """Learn which tensors of a file belong to which part.

        Args:
            model: An empty model, which this reader keeps for itself.
            keys: Names of the tensors in the files.

        Raises:
            RefusedError: for an architecture with weights outside its layers, its body and its
                head, or if files lack a part's weights.
        """
        self._model = model
        self._mapping = [
            entry
            for entry in get_model_conversion_mapping(model)
            if isinstance(entry, (WeightConverter, WeightRenaming))
        ]
        self._empty = model.state_dict()
        self._tied: Mapping[str, str] = getattr(model, "all_tied_weights_keys", {})
        self.parts = weights_by_part(model)
        self._part_of = {name: part for part, names in self.parts.items() for name in names}
        _refuse_others(model, self._empty.keys() - self._part_of.keys())
        self._keys: dict[str, list[str]] = {part: [] for part in self.parts}
        for key in keys:
            part = self._part_of.get(self._renamed(key))
            if part is not None:
                self._keys[part].append(key)

    def read(self, tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
        """Return a part's weights by their names in the model, on the host.

        Args:
            tensors: Every tensor of the files, as ``map_file`` returns them.
            part: One of ``parts``.

        Raises:
            RefusedError: for weights that are missing, or that have another shape than the model's.
        """
        wanted = self.parts[part]
        tied = {name: self._tied[name] for name in wanted if self._tied.get(name) in self._part_of}
        keys = set(self._keys[part])
        for source in tied.values():  # a tied weight may be in the file under its twin's name
            keys |= {k for k in self._keys[self._part_of[source]] if self._renamed(k) == source}
        found = self._loaded({key: tensors[key] for key in sorted(keys)})
        for name, source in tied.items():
            if name not in found and source in found:
                found[name] = found[source]
        absent = sorted(name for name in wanted if name not in found)
        if absent:
            raise RefusedError(
                "missing-weights",
                f"the files lack {len(absent)} weights of {part}, or have them in another shape: "
                f"{absent[:3]}. They are not of the model that config.json describes: save or "
                "fetch the checkpoint again",
            )
        return {name: found[name] for name in wanted}

    def _loaded(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the model's weights that come from some tensors; the model stays empty."""
        dtype = self._model.dtype
        told = LoadStateDictConfig(
            dtype=dtype,
            dtype_plan=self._model._get_dtype_plan(dtype),
            weight_mapping=self._mapping,
        )
        convert_and_load_state_dict_in_model(self._model, dict(tensors), told)
        found = {}
        for name, empty in self._empty.items():
            owner, leaf = _place(self._model, name)
            value: Tensor = getattr(owner, leaf)
            if not value.is_meta and value.data_ptr() != empty.data_ptr():
                found[name] = value.detach()
                is_parameter = leaf in owner._parameters
                setattr(
                    owner, leaf, nn.Parameter(empty, requires_grad=False) if is_parameter else empty
                )
        return found

    def _renamed(self, key: str) -> str:
        renamings = [one for one in self._mapping if isinstance(one, WeightRenaming)]
        converters = [one for one in self._mapping if isinstance(one, WeightConverter)]
        prefix = self._model.base_model_prefix
        renamed, _ = rename_source_key(key, renamings, converters, prefix, self._empty)
        if renamed not in self._empty and key in self._empty:
            return key
        return renamed


def weights_by_part(model: PreTrainedModel) -> dict[str, list[str]]:
    """Return the weights of each part of a model, by their names in it: layers, body and head."""
    names = {module: name for name, module in model.named_modules()}
    layers = [names[block] for block in blocks(model)]
    of_body, of_head = (f"{names[m]}." for m in (body_of(model), model.get_output_embeddings()))
    parts: dict[str, list[str]] = {part: [] for part in (*layers, BODY, HEAD)}
    for weight in model.state_dict():
        inside = [layer for layer in layers if weight.startswith(f"{layer}.")]
        if inside:
            parts[inside[0]].append(weight)
        elif weight.startswith(of_head):
            parts[HEAD].append(weight)
        elif weight.startswith(of_body):
            parts[BODY].append(weight)
    return parts


def _refuse_others(model: PreTrainedModel, others: set[str]) -> None:
    if others or body_of(model) is model:
        raise RefusedError(
            "other-parameters",
            f"{type(model).__name__} cannot be read in parts: it has weights outside its body and "
            f"its output head ({sorted(others)[:3]}); keep it whole on every rank (placement disk)",
        )


def _place(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    owner, _, leaf = name.rpartition(".")
    return model.get_submodule(owner), leaf
