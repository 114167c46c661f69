"""Models of the Hugging Face Hub as local folders, each of one commit; and their licenses."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from huggingface_hub import DryRunFileInfo, ModelCard, constants, snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm

from tasks.contracts.refusal import RefusedError
from tasks.platform.resources import existing, free_storage

UNKNOWN_LICENSE = "unknown"
"""Recorded for a model that states no license."""
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.md", "LICENSE*", "COPYING*"]
_WEIGHTS = ".safetensors"
_GIB = 1 << 30
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


def snapshot_of(
    name: str,
    revision: str = "",
    endpoint: str | None = None,
    *,
    store: Path | None = None,
    copied: float = 1.0,
    free: Callable[[Path], int] = free_storage,
) -> Path:
    """Return the folder with the files of a Hub id; its own name is the commit.

    A cached snapshot works without network.

    Args:
        name: Id on the Hub, such as ``org/model``.
        revision: Branch, tag or commit; "" for the newest.
        endpoint: Address of the Hub; None for the configured one.
        store: Folder that gets a copy of the weights; None for no copy, or a remote store.
        copied: Minimum size of the copy, as a share of the weights: 1 in fp32, a half in bf16.
        free: Returns the free bytes of the disk where a folder is.

    Raises:
        RefusedError: for a gated, unknown or unreachable model, and for one that does not fit onto
            the disk; nothing is fetched then.
    """
    what = f"{name}@{revision}" if revision else name
    fetch = partial(
        snapshot_download,
        name,
        revision=revision or None,
        allow_patterns=_FILES,
        endpoint=endpoint,
    )
    try:
        _refuse_small_disk(what, fetch, store, copied, free)
        folder = fetch()
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


def _refuse_small_disk(
    what: str,
    fetch: Callable[..., str | list[DryRunFileInfo]],
    store: Path | None,
    copied: float,
    free: Callable[[Path], int],
) -> None:
    """Compare the files of a model with the room in the cache, and its weights with the store's.

    Raises:
        RefusedError: where they do not fit.
    """
    try:
        files = fetch(dry_run=True, tqdm_class=partial(tqdm, disable=True))
    except DryRunError:
        return  # The Hub cannot be asked, so nothing can be fetched either.
    assert isinstance(files, list)
    needed: dict[int, tuple[Path, int]] = {}
    fetched = sum(file.file_size or 0 for file in files if file.will_download)
    weights = sum(file.file_size or 0 for file in files if file.filename.endswith(_WEIGHTS))
    copy = int(copied * weights)
    for place, size in ((Path(constants.HF_HUB_CACHE), fetched), (store, copy)):
        if place is not None:
            disk = existing(place).stat().st_dev
            first, before = needed.get(disk, (place, 0))
            needed[disk] = first, before + size
    for place, size in needed.values():
        if size > (room := free(place)):
            raise RefusedError(
                "disk-too-small",
                f"{what} needs {size / _GIB:.2f} GiB under {place} ({fetched / _GIB:.2f} GiB to "
                f"fetch, and at least {copy / _GIB:.2f} GiB for the copy in the store), but "
                f"{room / _GIB:.2f} GiB are free. Nothing was fetched. Free some storage, or set "
                "HF_HUB_CACHE and PROVOST_HOME to folders of larger disks",
            )


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
