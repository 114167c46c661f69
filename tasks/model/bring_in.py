"""Models that others trained: a folder is checked, then saved in our own format.

Nothing is stored of a folder that is not what its config says, or that could not be trained here.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import JsonValue
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from lineage.digest import digest_file
from tasks.contracts.refusal import RefusedError
from tasks.model.files import (
    Policy,
    load_tokenizer,
    load_whole_model,
    map_file,
    read_header,
    refuse_foreign_code,
)
from tasks.model.formats import refuse_other_weights
from tasks.model.hub import is_commit, snapshot_of
from tasks.model.saving import save_in
from tasks.model.settings import StoredAs
from tasks.model.training_templates import replace_template

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Files of which a tokenizer has at least one."""
_INNER = "language_model."
"""Prefix of the language model among the weights of a model with several parts."""


@dataclass(frozen=True)
class Brought:
    """A model in our own format."""

    folder: Path
    notes: dict[str, JsonValue] = field(default_factory=dict)
    """What was changed on the way, for the record."""

    @property
    def precision(self) -> str:
        """Floating-point format in which it was saved."""
        saved = self.notes["saved"]
        assert isinstance(saved, dict)
        return str(saved["precision"])


def source_folder(text: str) -> Path | None:
    """Return the folder that a text names; None if it names a model of the Hub.

    Raises:
        RefusedError: for a path at which there is no folder.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        refuse_other_weights(path)
    if text.startswith(("/", ".", "~")):
        raise RefusedError(
            "no-folder",
            f"the folder {text!r} does not exist: give a Hugging Face folder, or the id of a model "
            "on the Hub",
        )
    return None


def located(
    source: str, store: str, precision: StoredAs = StoredAs.AUTO
) -> tuple[dict[str, JsonValue], Callable[[], Path]]:
    """Return the identity of a model, a folder's bytes or a commit, and how to get its folder.

    ``store`` is the address of the store that gets a copy in ``precision``. A bucket has no known
    end.

    Raises:
        RefusedError: for a model of the Hub that cannot be had, or does not fit onto the disk.
    """
    folder = source_folder(source)
    if folder is not None:
        return {"files": digests_of(folder)}, lambda: folder
    name, _, revision = source.partition("@")
    place = None if "://" in store else Path(store)
    copied = 0.5 if precision is StoredAs.BF16 else 1.0  # the Hub's may be in fp32 or in bf16
    fetch = partial(snapshot_of, name, store=place, copied=copied)
    commit = revision if is_commit(revision) else fetch(revision).name
    return {"source": name, "revision": commit}, lambda: fetch(commit)


def digests_of(folder: Path) -> dict[str, JsonValue]:
    """Return the digest of every file of a folder, by its relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest_file(path) for path in files}


def bring_in(source: Path, into: Path, precision: StoredAs = StoredAs.AUTO) -> Brought:
    """Save the causal LM of a folder into another, in a precision and without padding rows.

    What was chosen is noted as ``saved``.

    Of a model with several parts, such as one that also sees images, the language model is kept.
    A chat template that cannot play several turns gives way to ours, if ours gives the same text.

    Raises:
        RefusedError: for a folder without safetensors or tokenizer, a file that cannot be read,
            weights that contradict the config, and token ids that the model does not have.
    """
    refuse_other_weights(source)
    refuse_foreign_code(source)
    kept = precision.of(is_bf16=holds_bf16(source))
    config, tokenizer = _config(source), _tokenizer(source)
    notes: dict[str, JsonValue] = {}
    if config.get_text_config() is not config:
        notes["part"] = f"the language model of {type(config).__name__}"
        with tempfile.TemporaryDirectory(prefix="provost-") as folder:
            model = load_whole_model(_language_model(source, config, Path(folder)))
    else:
        model = load_whole_model(source)
    policy = Policy(model, tokenizer)
    if trimmed := trim_padding_rows(policy):
        notes["trimmed_rows"] = trimmed
    if replaced := replace_template(tokenizer):
        notes["template"] = f"Provost's training template for {replaced}"
    notes["saved"] = save_in(policy, into, kept)
    return Brought(into, notes)


def holds_bf16(folder: Path) -> bool:
    """Return whether all weights of a folder are in bf16, whatever its config says."""
    headers = [read_header(file) for file in folder.glob("*.safetensors")]
    return {kind for header in headers for kind, _ in header.values()} == {"BF16"}


def trim_padding_rows(policy: Policy) -> list[JsonValue]:
    """Remove the rows for ids beyond the tokenizer's, in place; return the first and the end.

    A sampled id of such a row is no token. Empty if there are none.

    Raises:
        RefusedError: for a tokenizer with more ids than the model has rows, and for ids in between
            that are no token.
    """
    rows = _rows(policy.model)
    ids = set(policy.tokenizer.get_vocab().values())
    end = max(ids) + 1
    if end > rows:
        raise RefusedError(
            "tokenizer-larger-than-model",
            f"the tokenizer has ids up to {end - 1}, but the model has {rows} rows of embeddings: "
            "they are not of one model, or tokens were added without resizing the embeddings",
        )
    if missing := sorted(set(range(end)) - ids):
        raise RefusedError(
            "ids-without-token",
            f"{len(missing)} ids of the model are no token of its tokenizer (the first are "
            f"{missing[:3]}), and a sampled one would be no text: add tokens for them to the "
            "tokenizer, and save the folder again",
        )
    if end == rows:
        return []
    policy.model.resize_token_embeddings(end)
    return [end, rows]


def _rows(model: PreTrainedModel) -> int:
    embeddings = model.get_input_embeddings().weight
    assert isinstance(embeddings, Tensor)
    return embeddings.shape[0]


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise RefusedError(
            "no-tokenizer",
            f"{folder} has no tokenizer, and the model's ids mean nothing without one: save it "
            "there with tokenizer.save_pretrained",
        )
    try:
        return load_tokenizer(folder)
    except Exception as error:  # the readers of tokenizers raise all kinds
        raise RefusedError(
            "unreadable-tokenizer",
            f"the tokenizer of {folder} cannot be read ({type(error).__name__}: {error}): save it "
            "there with tokenizer.save_pretrained",
        ) from error


def _config(folder: Path) -> PretrainedConfig:
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # of the file, or of a validator of its architecture
        raise RefusedError(
            "unreadable-config",
            f"the config.json of {folder} cannot be used: {error}. It needs a model_type that "
            "transformers knows, and sizes that agree with each other",
        ) from error
    return config


def _language_model(source: Path, config: PretrainedConfig, into: Path) -> Path:
    """Write the language model of a model with several parts as a folder of its own."""
    weights = dict(_language_weights(source))
    written = json.loads(config.get_text_config().to_json_string(use_diff=False))
    written["tie_word_embeddings"] = "lm_head.weight" not in weights
    (into / "config.json").write_text(json.dumps(written), "utf-8")
    save_file(weights, into / "model.safetensors", {"format": "pt"})
    return into


def _language_weights(source: Path) -> Iterator[tuple[str, Tensor]]:
    for path in sorted(source.glob("*.safetensors")):
        for name, tensor in map_file(path).items():
            if _INNER in name or name.startswith("lm_head."):
                yield name.replace(_INNER, ""), tensor
