"""What computes: source digest, commit and packages of the code, and the task in Flyte, if any.

What Flyte tells a pod about its task is read here alone, from the environment.
"""

import ast
import getpass
import importlib.metadata
import os
import subprocess
import sys
from functools import cache, lru_cache
from pathlib import Path

from pydantic import JsonValue

from lineage.digest import digest_bytes, digest_file, digest_json
from lineage.export.origin import plain_repository
from lineage.records.derivation import FlyteRun

GROUND_FLOOR = ("ledger", "model", "onpolicy", "rollout")
"""Packages of ``tasks`` that every step may run; a change in them makes other derivations."""
_TASKS = Path(__file__).parents[1]
_ALL_BUT_DOCUMENTS = (":/", ":(top,exclude)*.md")
_PATTERNS = ("**/*.py", "*.json", "templates/*")
"""Files of a package that affect its results or its pages."""
_PACKAGES = ("torch", "transformers", "trl", "tokenizers", "safetensors", "numpy")
_EXECUTION = "FLYTE_INTERNAL_EXECUTION_ID"
"""Set in the pod of every task."""
IMAGE = "FLYTE_INTERNAL_IMAGE"
"""Set by ``provost register``: the reference, with its digest, that the task is bound to."""


@lru_cache
def source_digest(step: str, *more: str) -> str:
    """Return the digest of the Python source that step ``step`` of ``tasks`` can run.

    It covers the step's own package, the packages or modules in ``more``, and the ground floor.
    What else changes in the repository, a document or another step, does not make another
    derivation. Comments, docstrings and layout do not either: see ``code_digest``.
    """
    packages = (step, *more, *GROUND_FLOOR)
    files = sorted(path for name in packages for path in _files(name))
    return digest_json({str(path.relative_to(_TASKS)): _digest(path) for path in files})


def _files(name: str) -> list[Path]:
    """Return the code, data and templates of a package of ``tasks``, or a single module.

    Raises:
        ValueError: for a name that is neither.
    """
    module = (_TASKS / name).with_suffix(".py")
    found = (path for pattern in _PATTERNS for path in (_TASKS / name).glob(pattern))
    files = [module] if module.is_file() else list(found)
    if not files:
        raise ValueError(
            f"{name!r} is not a package or module of tasks: correct source_digest's caller"
        )
    return files


def _digest(path: Path) -> str:
    """Return the digest of a Python file's code, or of another file's bytes."""
    return code_digest(path) if path.suffix == ".py" else digest_file(path)


@cache  # of every file: a step covers more than the 128 that lru_cache keeps
def code_digest(file: Path) -> str:
    """Return the digest of a Python file's syntax tree without comments, docstrings and layout.

    Prose can then improve without making every checkpoint anew. Every bare string statement counts
    as a docstring: attribute docstrings too. A file of equal code has one digest under every
    supported Python, because fields that are empty are left out (later versions add such fields).
    """
    spelled: list[str] = []
    _spell(ast.parse(file.read_bytes(), file.name), spelled)
    return digest_bytes("".join(spelled).encode("utf-8", "surrogatepass"))


def _spell(value: object, into: list[str]) -> None:
    """Append a syntax tree as text: node and field names with values, without positions."""
    if isinstance(value, list):
        into.append("[")
        for item in value:
            if not _is_prose(item):
                _spell(item, into)
        into.append("]")
    elif isinstance(value, ast.AST):
        into.append(f"({type(value).__name__}")
        for name, field in ast.iter_fields(value):
            if field != []:
                into.append(f" {name}=")
                _spell(field, into)
        into.append(")")
    else:
        into.append(repr(value) + ",")  # repr tells 1 from 1.0 and True, and "a" from b"a"


def _is_prose(node: object) -> bool:
    """Return whether a statement is a string that nothing reads."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
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


def gpu_in_use() -> str:
    """Return the name of the GPU that this process has used, or "".

    torch is queried only if the step has loaded it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return ""
    return str(torch.cuda.get_device_name())


@lru_cache
def git_commit() -> str:
    """Return the running commit, from the image or from git; "" if unknown."""
    return os.environ.get("PROVOST_COMMIT") or _git("rev-parse", "HEAD").decode().strip()


@lru_cache
def git_repository() -> str:
    """Return where this checkout was cloned from, as an https address without secrets, or ""."""
    return plain_repository(_git("remote", "get-url", "origin").decode().strip())


@lru_cache
def git_difference() -> str:
    """Return the digest of what differs from the commit, or "" for a clean tree.

    Every file may change what runs: code, a trust root, a team's prompts. Documents (``*.md``)
    alone do not.
    """
    top = _git("rev-parse", "--show-toplevel").decode().strip()
    if not top:
        return ""
    changed = _git("diff", "--binary", "HEAD", "--", *_ALL_BUT_DOCUMENTS)
    untracked = ("ls-files", "--others", "--exclude-standard", "--full-name", "-z")
    listed = _git(*untracked, "--", *_ALL_BUT_DOCUMENTS)
    added: dict[str, JsonValue] = {
        name: _digest_added(Path(top, name)) for name in listed.decode().split("\0") if name
    }
    return (
        digest_json({"changed": digest_bytes(changed), "added": added}) if changed or added else ""
    )


def _digest_added(path: Path) -> str:
    """Return the digest of a file that git does not know yet; of a link, as git takes it."""
    if path.is_symlink():
        return digest_bytes(os.fsencode(path.readlink()))
    if path.is_dir():  # a repository of its own, of which git names the folder alone
        return digest_bytes(b"")
    return digest_file(path)


def _git(*arguments: str) -> bytes:
    """Return git's output in this checkout; empty without git or a checkout."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_TASKS, capture_output=True, check=False, timeout=30
        )
    except FileNotFoundError:
        return b""
    return done.stdout if done.returncode == 0 else b""


def person() -> str:
    """Return who is logged in here; "" where the machine has no name for the user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def attempt_number() -> int:
    """Return the number of this attempt at a task; the first is 0."""
    return int(os.environ.get("FLYTE_ATTEMPT_NUMBER") or 0)


def running_image() -> str:
    """Return the image that runs, as REPOSITORY@sha256:...; "" outside a container of Flyte's."""
    return os.environ.get(IMAGE, "")


def task_name() -> str:
    """Return the name of the task that runs; "" outside Flyte."""
    return os.environ.get("FLYTE_INTERNAL_TASK_NAME", "")


def flyte_run() -> FlyteRun | None:
    """Return the execution that runs this pod; None on a person's machine."""
    name = os.environ.get(_EXECUTION, "")
    if not name:
        return None
    return FlyteRun(
        project=os.environ.get("FLYTE_INTERNAL_EXECUTION_PROJECT", ""),
        domain=os.environ.get("FLYTE_INTERNAL_EXECUTION_DOMAIN", ""),
        execution=name,
        workflow=os.environ.get("FLYTE_INTERNAL_EXECUTION_WORKFLOW", ""),
        version=os.environ.get("FLYTE_INTERNAL_TASK_VERSION", ""),
        url=os.environ.get("FLYTE_EXECUTION_URL", ""),
    )
