"""Digests of a tokenizer and a chat template: equal digests mean equal tokens."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue
from transformers import PreTrainedTokenizerBase

from lineage.digest import digest_bytes, digest_json
from lineage.errors import LineageError
from lineage.store.store import Store, read_tree
from tasks.model.files import load_tokenizer
from tasks.model.training_templates import template_of_ours

_LARGEST = 64 << 20
"""Maximum bytes of a tokenizer's file."""


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the digest of the tokenization rules, the id -> token map and the special ids.

    Two tokenizers of one vocabulary size can disagree on every id, so the size proves nothing. The
    pad token is among the special ids, though nothing depends on it: releases hold this digest, and
    stay readable. So equal digests prove equal tokenizers, and for others ``tokenizer_differences``
    decides.
    """
    vocabulary = tokenizer.get_vocab()
    return digest_json(
        {
            "cutting": _cutting(tokenizer),
            "tokens": [[index, token] for token, index in sorted(vocabulary.items(), key=_by_id)],
            "special": {
                "bos": tokenizer.bos_token_id,
                "eos": tokenizer.eos_token_id,
                "pad": tokenizer.pad_token_id,
                "all": list[JsonValue](sorted(tokenizer.all_special_ids)),
            },
        }
    )


def template_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the digest of the chat template's text."""
    return digest_bytes(str(tokenizer.chat_template or "").encode("utf-8"))


def differences(one: PreTrainedTokenizerBase, two: PreTrainedTokenizerBase) -> list[str]:
    """Return what differs between two tokenizers and their templates, in words."""
    found = tokenizer_differences(one, two)
    if template_digest(one) != template_digest(two):
        found.append("the chat template")
    return found


def tokenizer_differences(one: PreTrainedTokenizerBase, two: PreTrainedTokenizerBase) -> list[str]:
    """Return what differs between two tokenizers, in words; the pad token scores nothing."""
    found = []
    own, other = one.get_vocab(), two.get_vocab()
    if changed := sorted(set(own.items()) ^ set(other.items()), key=_by_id):
        token, index = changed[0]
        found.append(f"{len(changed)} tokens, such as {token!r} with the id {index}")
    elif _cutting(one) != _cutting(two):
        found.append("how text is cut into tokens")
    for name in ("bos_token", "eos_token"):
        first, second = getattr(one, name), getattr(two, name)
        if first != second:
            found.append(f"the {name}, {first!r} and {second!r}")
    return found


def _cutting(tokenizer: PreTrainedTokenizerBase) -> JsonValue:
    """Return normalizer, pre-tokenizer, merges and added tokens; not what a call may change."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return type(tokenizer).__name__
    whole: dict[str, JsonValue] = json.loads(backend.to_str())
    return {name: part for name, part in whole.items() if name not in {"truncation", "padding"}}


def _by_id(item: tuple[str, int]) -> int:
    return item[1]


def identity_of(folder: Path) -> tuple[str, str]:
    """Return the digests of a checkpoint folder's tokenizer and chat template.

    Raises:
        LineageError: for a folder with an unreadable tokenizer.
    """
    try:
        tokenizer = load_tokenizer(folder)
        return tokenizer_digest(tokenizer), template_digest(tokenizer)
    except Exception as error:  # the readers of tokenizers raise all kinds
        raise LineageError(
            f"the tokenizer of {folder} cannot be read ({type(error).__name__}: {error}): save it "
            "again with save_pretrained",
            code="unreadable-tokenizer",
        ) from error


def stored_identity(store: Store, checkpoint: str) -> tuple[str, str]:
    """Return ``identity_of`` for a checkpoint in a store, without copying its weights.

    Raises:
        LineageError: for a missing checkpoint, or one with an unreadable tokenizer.
    """
    with _without_weights(store, checkpoint) as folder:
        return identity_of(folder)


def stored_differences(store: Store, one: str, two: str) -> tuple[str, ...]:
    """Return ``tokenizer_differences`` of two checkpoints in a store that can be read."""
    with _without_weights(store, one) as first, _without_weights(store, two) as second:
        return tuple(tokenizer_differences(load_tokenizer(first), load_tokenizer(second)))


def stored_template_of_ours(store: Store, checkpoint: str) -> str:
    """Return ``template_of_ours`` for a checkpoint in a store."""
    with _without_weights(store, checkpoint) as folder:
        return template_of_ours(load_tokenizer(folder))


@contextmanager
def _without_weights(store: Store, checkpoint: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="provost-") as name:
        for file in read_tree(store, checkpoint).files:
            if file.size <= _LARGEST and not file.path.endswith(".safetensors"):
                path = Path(name, file.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(store.get_bytes(file.digest))
        yield Path(name)
