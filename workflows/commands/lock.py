"""``provost teacher lock``: resolves a team's requirements to wheels, once."""

import tempfile
from pathlib import Path

import click

from lineage.store.store import Store, open_store
from lineage.wheels import LOCK, Lock, LockError, in_words, parse_lock, write_lock
from tasks.contracts.refusal import RefusedError
from tasks.rollout.wheels.requirements import (
    REQUIREMENTS,
    read_requirements,
    requirements_digest,
)
from tasks.rollout.wheels.resolve import fetch, resolve
from tasks.rollout.worker.bundle import folder_of
from workflows.commands.faculty import place_of
from workflows.commands.output import say


@click.command("lock")
@click.argument("team")
@click.option("--find-links", type=click.Path(path_type=Path), help="Folder with wheels of yours.")
@click.option("--no-deps", is_flag=True, help="Take the listed packages without what they require.")
def lock(team: str, find_links: Path | None, no_deps: bool) -> None:
    """Resolve the requirements.txt of TEAM to wheels, and put them into the store.

    The lock, pylock.toml, is written beside it. With a lock of the same requirements, exactly its
    wheels are fetched; delete it to resolve anew.
    """
    folder = folder_of(place_of(team).package)
    path = folder / REQUIREMENTS
    if not path.is_file():
        raise RefusedError(
            "no-requirements",
            f"{path} is missing: name the packages of your grader there, one a line, such as "
            "sympy==1.14.0",
        )
    made = lock_requirements(path, open_store(), links=find_links, dependencies=not no_deps)
    (folder / LOCK).write_bytes(write_lock(made))
    say(f"{folder / LOCK}: {len(made.wheels)} wheels, {_megabytes(made)} MB, in the store")
    for line in in_words(sorted(made.wheels)):
        say(f"  {line}")


def lock_requirements(
    path: Path, store: Store, *, links: Path | None = None, dependencies: bool = True
) -> Lock:
    """Return the lock of a requirements file, with all its wheels in the store.

    The lock beside it is kept if it is of the same requirements.

    Raises:
        RefusedError: see ``resolve``.
    """
    known = _known(path)
    if known and all(map(store.has, (wheel.digest for wheel in known.wheels))):
        return known
    with tempfile.TemporaryDirectory(prefix="provost-") as name:
        folder = Path(name)
        if known:
            fetch(known, folder, links=links)
        else:
            known = resolve(path, folder, links=links, dependencies=dependencies)
        for wheel in known.wheels:
            found = store.put_file(folder / wheel.file)
            if found != wheel.digest:
                raise RefusedError(
                    "other-wheel",
                    f"{wheel.file} is {found}, but {LOCK} names {wheel.digest}: delete {LOCK} and "
                    "lock again, if you trust the new file",
                )
    return known


def _known(path: Path) -> Lock | None:
    """Return the lock beside a requirements file; None if it is of other requirements."""
    file = path.with_name(LOCK)
    required = requirements_digest(read_requirements(path))
    if not file.is_file():
        return None
    try:
        found = parse_lock(file.read_bytes())
    except LockError as error:
        raise RefusedError("bad-lock", str(error)) from error
    return found if found.requirements == required else None


def _megabytes(made: Lock) -> str:
    return f"{sum(wheel.size for wheel in made.wheels) / 1e6:.1f}"
