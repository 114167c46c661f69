"""A team's domain as a source bundle: two files that run anywhere and import nothing of ours.

A bundle travels in a release and runs from the store long after the team's folder has changed, so
it may import the standard library, the modules of ``ALLOWED``, and the packages that it carries:
a lock with the wheels that the lock names (``tasks.rollout.wheels``).
The check reads the source and never runs it; what confines a bundle is ``tasks.rollout.worker``.
"""

import ast
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lineage.errors import CodedError
from tasks.rollout.environment import SPLITS
from tasks.rollout.prompts import read_demonstrations, read_prompts, refuse_overlap
from tasks.rollout.wheels.bundled import add_wheels, modules_of

ALLOWED = tuple(f"tasks.rollout.{name}" for name in ("environment", "sandbox", "bounded", "absent"))
_LONGEST = 1 << 20
"""Maximum bytes of a source file; Python needs a hundred times as much to parse it."""
DATA = "prompts"
"""A folder of JSONL files, in place of ``prompts.py``."""
PARAMETERS = {"prompts": ("split", "count", "seed"), "demonstrations": ("count", "seed")}


class BundleError(CodedError, ValueError):
    """A team's folder cannot be bundled; says which file and line, why and what to do."""


def _no_wheel(_digest: str) -> None:
    return None


def collect(package: str, into: Path, wheel: Callable[[str], bytes | None] = _no_wheel) -> Path:
    """Copy a package's ``environment.py`` and ``prompts.py`` into a folder, checked; return it.

    Prompts may also be files, ``prompts/<split>.jsonl`` and ``prompts/demonstrations.jsonl``; they
    travel in the bundle then. So do the wheels of the package's lock, if it has one; ``wheel``
    returns the bytes of one by its digest.

    The package, for instance "workflows.teachers.math", is found and never imported (a package's
    parents are: that is how Python finds it). It may be a folder's path instead.

    Raises:
        BundleError: the package does not exist, or ``check`` refuses it.
        PromptError: a JSONL file is empty or malformed; names the file and the line.
    """
    return bundle_of(folder_of(package), into, wheel)


def bundle_of(source: Path, into: Path, wheel: Callable[[str], bytes | None] = _no_wheel) -> Path:
    """Copy what a team's folder puts into its bundle; see ``collect``."""
    provided = add_wheels(source, into, wheel)
    in_files = (source / DATA).is_dir() and not (source / "prompts.py").exists()
    if in_files:
        _check_environment(source, provided)
        _check_prompt_files(source / DATA)
    else:
        _refuse_unread_files(source)
        _check_sources(source, provided)
    into.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "environment.py", into / "environment.py")
    reader = Path(__file__).with_name("jsonl_prompts.py") if in_files else source / "prompts.py"
    shutil.copyfile(reader, into / "prompts.py")
    if in_files:
        shutil.copytree(source / DATA, into / DATA, ignore=_all_but_data)
    return into


def check(folder: Path) -> None:
    """Raise BundleError, with file and line, if a folder is not a complete, portable bundle.

    Raises:
        RefusedError: for wheels beside it that the lock does not name, or that do not run here.
    """
    _check_sources(folder, modules_of(folder))


def _check_sources(folder: Path, provided: frozenset[str]) -> None:
    _check_environment(folder, provided)
    tree = _parse(_present(folder / "prompts.py"), provided)
    _check_functions(folder / "prompts.py", tree)


def _check_environment(folder: Path, provided: frozenset[str]) -> None:
    path = _present(folder / "environment.py")
    if "ENVIRONMENT" not in _assigned(_parse(path, provided)):
        raise BundleError(
            "no-environment",
            f"{path}, line 1: ENVIRONMENT is not set at the top level: end the file with "
            "ENVIRONMENT = YourEnvironment()",
        )


def _refuse_unread_files(folder: Path) -> None:
    """Refuse data beside a prompts.py: it would not travel, and prompts.py could not read it."""
    for name in (*SPLITS, "demonstrations"):
        for path in (folder / f"{name}.jsonl", folder / DATA / f"{name}.jsonl"):
            if path.exists():
                raise BundleError(
                    "unread-file",
                    f"{path} would not be in the bundle, because {folder / 'prompts.py'} makes the "
                    f"prompts: put the four files into {DATA}/ and remove prompts.py, or remove "
                    "the file",
                )


def _check_prompt_files(folder: Path) -> None:
    for name in (*SPLITS, "demonstrations"):
        _present(folder / f"{name}.jsonl")
    train, validation, evaluation = (read_prompts(folder / f"{split}.jsonl") for split in SPLITS)
    refuse_overlap(train, evaluation)
    refuse_overlap(validation, evaluation)
    read_demonstrations(folder / "demonstrations.jsonl")


def _all_but_data(_folder: str, names: list[str]) -> list[str]:
    kept = {f"{name}.jsonl" for name in (*SPLITS, "demonstrations")}
    return [name for name in names if name not in kept]


def _present(path: Path) -> Path:
    if not path.is_file():
        raise BundleError(
            "missing-file",
            f"{path} is missing: a domain has environment.py, which sets ENVIRONMENT, and "
            "prompts.py, which defines prompts() and demonstrations(), or in its place a folder "
            "prompts/ with train, validation, evaluation and demonstrations as .jsonl",
        )
    return path


def folder_of(package: str) -> Path:
    """Return the folder of a package, which is not imported, or of a path.

    Raises:
        BundleError: for a package that does not exist.
    """
    if "/" in package and Path(package).is_dir():
        return Path(package)
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise BundleError(
            "no-package",
            f"the package {package!r} does not exist: give the dotted name of a team's folder, "
            "for instance workflows.teachers.math",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _parse(path: Path, provided: frozenset[str]) -> ast.Module:
    if path.stat().st_size > _LONGEST:
        raise BundleError(
            "too-long", f"{path} has {path.stat().st_size} bytes, more than {_LONGEST}: split it"
        )
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (RecursionError, MemoryError) as error:
        raise BundleError("not-python", f"{path}: nested too deeply to be read") from error
    except SyntaxError as error:
        raise BundleError(
            "not-python", f"{path}, line {error.lineno}: not Python: {error.msg}"
        ) from error
    except ValueError as error:
        raise BundleError("not-python", f"{path}: not Python: {error}") from error
    for node in ast.walk(tree):
        for name in _imports(node):
            _refuse_import(path, node, name, provided)
    return tree


def _imports(node: ast.AST) -> Iterator[str]:
    """Yield the modules that a statement may import, as dotted names; "." starts a relative one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        # `from tasks.rollout import sandbox` names a module in the list of names.
        parents = {name.rpartition(".")[0] for name in ALLOWED}
        if module in parents:
            yield from (f"{module}.{alias.name}" for alias in node.names)
        else:
            yield module


def _refuse_import(path: Path, node: ast.AST, name: str, provided: frozenset[str]) -> None:
    top = name.partition(".")[0]
    if name in ALLOWED or top in sys.stdlib_module_names or top in provided:
        return
    line = getattr(node, "lineno", 1)
    raise BundleError(
        "foreign-import",
        f"{path}, line {line}: imports {name!r}: a bundle must run from the store for years, so "
        f"it imports the standard library, {', '.join(ALLOWED)}, and packages that it carries: "
        "name the package in requirements.txt beside this file and run `provost teacher lock`, or "
        "copy the few lines that you need into this file",
    )


def _assigned(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _check_functions(path: Path, tree: ast.Module) -> None:
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, parameters in PARAMETERS.items():
        if name not in defined:
            raise BundleError(
                "missing-function",
                f"{path}, line 1: {name}() is not defined at the top level: define "
                f"{name}({', '.join(parameters)})",
            )
        given = tuple(argument.arg for argument in defined[name].args.args)
        if given != parameters:
            raise BundleError(
                "other-arguments",
                f"{path}, line {defined[name].lineno}: {name}({', '.join(given)}) must take "
                f"({', '.join(parameters)}), the arguments of the call",
            )
