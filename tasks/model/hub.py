"""Models of the Hugging Face Hub as local folders, each of one commit; and their licenses."""

import re
from pathlib import Path

import yaml
from huggingface_hub import ModelCard, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.contracts.refusal import RefusedError

UNKNOWN_LICENSE = "unknown"
"""Recorded for a model that states no license."""
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.md", "LICENSE*", "COPYING*"]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LICENSE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING", "COPYING.txt")
_TITLES = {
    "Apache-2.0": ("apache license", "version 2.0"),
    "MIT": ("mit license",),
    "BSD-3-Clause": ("bsd 3-clause",),
    "GPL-3.0": ("gnu general public license", "version 3"),
}
"""Words that the first lines of a license's text hold, in lowercase."""
_HEAD = 600
"""Characters of a license's text in which its title is."""


def is_commit(revision: str) -> bool:
    """Return whether a revision is a commit already, and not a branch or a tag."""
    return _COMMIT.fullmatch(revision) is not None


def snapshot_of(name: str, revision: str = "", endpoint: str | None = None) -> Path:
    """Return the folder with the files of a Hub id; its own name is the commit.

    A cached snapshot works without network.

    Args:
        name: Id on the Hub, such as ``org/model``.
        revision: Branch, tag or commit; "" for the newest.
        endpoint: Address of the Hub; None for the configured one.

    Raises:
        RefusedError: for a gated, unknown or unreachable model.
    """
    what = f"{name}@{revision}" if revision else name
    try:
        folder = snapshot_download(
            name, revision=revision or None, allow_patterns=_FILES, endpoint=endpoint
        )
    except GatedRepoError as error:
        raise RefusedError(
            "gated-model",
            f"{what} is gated: its owner gives access by request. Accept its terms on its page at "
            "the Hub and set HF_TOKEN, or give the path of a folder that holds it",
        ) from error
    except RevisionNotFoundError as error:
        raise RefusedError(
            "unknown-revision",
            f"the Hub's model {name} has no revision {revision!r}: give a branch, a tag or a "
            "commit from its page",
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise RefusedError(
            "unknown-model",
            f"{what} is neither a folder here nor a model on the Hub that this account may read: "
            "give the path of a folder, or an id such as org/model",
        ) from error
    except LocalEntryNotFoundError as error:
        raise RefusedError(
            "hub-out-of-reach",
            f"{what} is not a folder here, the Hub cannot be reached, and the local cache does not "
            f"hold it. Run `hf download {name}` where there is a network (with HF_TOKEN for a "
            "gated model), and give the path of the folder",
        ) from error
    return Path(folder)


def stated_license(folder: Path) -> str:
    """Return the license that a model's folder states: by its card, else by its license file.

    "" for none: a missing or unreadable card states none.
    """
    return _of_card(folder / "README.md") or _of_text(folder)


def _of_card(card: Path) -> str:
    if not card.is_file():
        return ""
    try:
        data = ModelCard.load(card, ignore_metadata_errors=True).data.to_dict()
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    stated = data.get("license_name") if data.get("license") == "other" else data.get("license")
    return stated if isinstance(stated, str) else ""


def _of_text(folder: Path) -> str:
    for name in _LICENSE_FILES:
        path = folder / name
        if path.is_file():
            head = " ".join(path.read_text("utf-8", errors="replace")[:_HEAD].lower().split())
            known = (found for found, words in _TITLES.items() if all(w in head for w in words))
            return next(known, "")
    return ""
