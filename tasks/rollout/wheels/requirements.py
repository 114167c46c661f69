"""What packages a team requires: one a line, by name and version."""

from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from lineage.digest import digest_bytes
from tasks.contracts.refusal import RefusedError
from tasks.rollout.foreign import cut

REQUIREMENTS = "requirements.txt"


def read_requirements(path: Path) -> list[Requirement]:
    """Return the packages that a team requires.

    Raises:
        RefusedError: ``bad-requirement``, with file and line, for anything but names with
            versions: an address or a folder would have to be built, and an option is pip's.
    """
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise _bad(path, number, f"{cut(text)!r} is not a requirement") from error
        if requirement.url:
            raise _bad(path, number, f"{requirement.name} is an address")
        found.append(requirement)
    if not found:
        raise RefusedError("bad-requirement", f"{path} names no package: add one, or remove it")
    return found


def requirements_digest(requirements: Sequence[Requirement]) -> str:
    """Return a digest of what is required, whatever the order and the comments."""
    return digest_bytes("\n".join(sorted(map(str, requirements))).encode())


def _bad(path: Path, number: int, what: str) -> RefusedError:
    return RefusedError(
        "bad-requirement",
        f"{path}, line {number}: {what}: give one package a line, such as sympy==1.14.0. Options, "
        "addresses and folders are not taken, because a release carries wheels from an index; put "
        "a wheel of your own into a folder and give --find-links FOLDER",
    )
