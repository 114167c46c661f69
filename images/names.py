"""The images that tasks run in, by name; registration binds each name to a digest.

A task names its image with ``placeholder``, which Flyte fills in when the task is packaged. A tag
could point at other code tomorrow, so that only digests are accepted.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from tomllib import TOMLDecodeError, loads

_BOUND = re.compile(r"(?P<repository>[a-z0-9][a-z0-9._:/-]*)@sha256:(?P<digest>[0-9a-f]{64})")


class ImageName(StrEnum):
    """One image for each set of dependencies; each has a folder of its name in ``images/``."""

    CPU = "cpu"
    """Plans, data, records and small models: torch without CUDA."""
    TRAIN = "train"
    """Whatever needs a GPU, but vLLM."""
    ROLLOUT = "rollout"
    """The vLLM server alone, whose torch and transformers are not the trainer's."""


class ImageError(ValueError):
    """An image is not bound, or not by digest.

    ``code`` is stable; the wording of messages may change.
    """

    def __init__(self, code: str, message: str) -> None:
        """Take the code, in kebab-case, and the message."""
        super().__init__(message)
        self.code = code


def placeholder(name: ImageName) -> str:
    """Return what a task declares as its image: Flyte puts the bound one in its place."""
    return f"{{{{.image.{name}.fqn}}}}:{{{{.image.{name}.version}}}}"


def bind(references: Mapping[str, str], needed: Iterable[ImageName]) -> dict[ImageName, str]:
    """Check what the names are bound to, and return each needed image as ``repository@sha256:...``.

    Raises:
        ImageError: if a needed name is not bound, a bound one does not exist, or a reference has
            no digest.
    """
    unknown = sorted(set(references) - set(ImageName))
    if unknown:
        raise ImageError(
            "unknown-image", f"no task runs in {', '.join(unknown)}: the images are {_listed()}"
        )
    for name, reference in references.items():
        _refuse_without_digest(name, reference)
    wanted = sorted(set(needed))
    missing = [name for name in wanted if name not in references]
    if missing:
        raise ImageError(
            "not-bound",
            f"nothing is bound to {', '.join(missing)}, so its tasks would have no image: give "
            f"{missing[0]}=REPOSITORY@sha256:DIGEST for each, as the build printed it",
        )
    return {name: references[name] for name in wanted}


def read_references(file: Path) -> dict[str, str]:
    """Return the references in a TOML file of ``name = "repository@sha256:..."`` lines.

    Raises:
        ImageError: if the file is not there, is not TOML, or says anything else.
    """
    try:
        found = loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ImageError(
            "no-file", f"{file} is not there: write it with images/build.sh, or name another"
        ) from error
    except TOMLDecodeError as error:
        raise ImageError("not-toml", f"{file} is not TOML: {error}") from error
    strange = sorted(name for name, value in found.items() if not isinstance(value, str))
    if strange:
        raise ImageError(
            "not-a-reference",
            f'{file}: {", ".join(strange)} is no image: write {strange[0]} = "..."',
        )
    return found


def _refuse_without_digest(name: str, reference: str) -> None:
    if _BOUND.fullmatch(reference):
        return
    raise ImageError(
        "no-digest",
        f"{name} is bound to {reference!r}, which is not REPOSITORY@sha256:<64 hex digits>: a tag "
        "may point at other code tomorrow, so give the digest that was built",
    )


def _listed() -> str:
    return ", ".join(ImageName)
