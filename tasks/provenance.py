"""What the code is that computes: the digest of its source, its commit, its packages."""

import hashlib
import importlib.metadata
import os
import subprocess
from functools import lru_cache
from pathlib import Path

from pydantic import JsonValue

from lineage.digest import digest_bytes, digest_file, digest_json

GROUND_FLOOR = ("ledger", "model", "onpolicy", "rollout")
"""Packages of ``tasks`` that every step may run; a change in them makes other derivations."""
_TASKS = Path(__file__).parent
_PACKAGES = ("torch", "transformers", "trl", "tokenizers", "safetensors", "numpy")


@lru_cache
def source_digest(step: str, *more: str) -> str:
    """Return the digest of the Python source that step ``step`` of ``tasks`` can run.

    It is the step's own package, those named in ``more``, and the ground floor. What else changes
    in the repository, a document or another step, does not make another derivation.
    """
    packages = (step, *more, *GROUND_FLOOR)
    files = sorted(path for name in packages for path in (_TASKS / name).glob("**/*.py"))
    return digest_json(
        {
            str(path.relative_to(_TASKS)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }
    )


@lru_cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that weights depend on, where they are installed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@lru_cache
def git_commit() -> str:
    """Return the commit that runs: baked into an image, else asked of git, else ""."""
    return os.environ.get("PROVOST_COMMIT") or _git("rev-parse", "HEAD").decode().strip()


@lru_cache
def git_difference() -> str:
    """Return the digest of what differs from the commit in Python files, or "" for a clean tree."""
    top = _git("rev-parse", "--show-toplevel").decode().strip()
    if not top:
        return ""
    changed = _git("diff", "HEAD", "--", ":/*.py")
    listed = _git("ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", ":/*.py")
    added: dict[str, JsonValue] = {
        name: digest_file(Path(top, name)) for name in listed.decode().split("\0") if name
    }
    return (
        digest_json({"changed": digest_bytes(changed), "added": added}) if changed or added else ""
    )


def _git(*arguments: str) -> bytes:
    """Return what git says in this checkout, or nothing where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_TASKS, capture_output=True, check=False, timeout=30
        )
    except FileNotFoundError:
        return b""
    return done.stdout if done.returncode == 0 else b""
