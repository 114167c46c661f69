"""The version under which entities are registered: the commit that is checked out."""

import hashlib
import subprocess
from pathlib import Path

import click

DEVELOPMENT = "development"
"""The only Flyte domain that accepts uncommitted changes."""
_NUM_HEX = 12


def version_of(folder: Path, domain: str, name: str, beside: str) -> str:
    """Return ``<beside>-<commit>``, the Flyte version of the code in ``folder``.

    Development accepts uncommitted changes and adds their digest to the version.

    Args:
        folder: Anywhere in the checkout.
        domain: The Flyte domain.
        name: The commit that is meant, or a tag of it; empty for the one that is checked out.
        beside: The team's own version of its folder; may be empty.

    Raises:
        click.ClickException: outside a git checkout, if ``name`` is not what is checked out, or
            if the tree has changes and the domain is not development.
    """
    commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    if name and _git(folder, "rev-parse", f"{name}^{{commit}}").decode().strip() != commit:
        raise click.ClickException(
            f"{name} is not checked out ({commit[:_NUM_HEX]} is), so the entities would not match "
            f"their version: run `git checkout {name}` first"
        )
    version = name or commit[:_NUM_HEX]
    changed = changed_files(folder)
    if changed and domain != DEVELOPMENT:
        shown = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
        raise click.ClickException(
            f"{len(changed)} files have uncommitted changes ({shown}), which {domain} does not "
            f"accept: commit them, or register in {DEVELOPMENT}"
        )
    if changed:
        version += f"-dirty-{_digest(folder, changed)}"
    return f"{beside}-{version}" if beside else version


def changed_files(folder: Path) -> list[str]:
    """Return the files of the checkout that differ from its commit, relative to its root."""
    told = _git(folder, "status", "--porcelain", "--untracked-files=all", "-z").decode()
    lines = iter(told.split("\0"))
    found = []
    for line in filter(None, lines):
        found.append(line[3:])
        if line[0] in "RC":
            next(lines)  # where it was renamed or copied from
    return sorted(found)


def _digest(folder: Path, changed: list[str]) -> str:
    root = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    digest = hashlib.sha256()
    for name in changed:
        file = root / name
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b"")
    return digest.hexdigest()[:8]


def _git(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        raise click.ClickException(
            f"git {' '.join(arguments[:2])} failed in {folder}: {done.stderr.decode().strip()}. "
            "Register from a git checkout, because the version is a commit"
        )
    return done.stdout
