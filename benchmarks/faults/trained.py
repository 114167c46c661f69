"""One team does all that its role allows; then a student is trained, of which nothing is its own.

The teachers and the fork point are real checkpoints of tiny models, made by other teams with keys
of their own. The student must come out bit for bit as it does in a store without the team's acts.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis.stateful import initialize, precondition, rule

from benchmarks.faults.homes import Job, Run, once, run_python, student_in
from benchmarks.faults.teams import run_machine
from lineage.artifacts import Student, read_manifest
from lineage.dsse import SigningKey
from lineage.records.record import Derivation
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from lineage.trust.author import KEY_VARIABLE, write_key
from lineage.trust.chain import publish
from lineage.trust.root import Team, TrustedKey, TrustRoot
from tests.lineage.test_two_teams import TwoTeams
from tests.support.teams import SINCE, Shared
from tests.support.world import TOKENIZER, A, B

_STEPS = 20
_NAMES = {
    A: ("teacher.code", "teacher.code-*"),
    B: ("teacher.shout", "teacher.whisper"),
    "foundation": ("base", "fork-point"),
    "consolidation": ("student.*", "audit.*"),
}
_WORDS = ("run", "consolidation", "--preset", "smoke")
_TEACHERS = ("--teachers", "shout@released,whisper@released")
_FIRST = Job("trained-first", "student.smoke@latest", (*_WORDS, *_TEACHERS, "--seed", "1"))
_LAST = replace(_FIRST, name="trained", words=(*_WORDS, *_TEACHERS))


class _Home(Shared):
    """The store of a home, with the keys that lie beside it."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, home / "store"
        self.code = self.of(A)

    def of(self, team: str, key: SigningKey | None = None) -> FolderStore:
        """Open the store as a team does."""
        pem = (self.home / f"{team}.pem").read_text()
        return FolderStore(self.folder, signing_key=key or SigningKey.from_pem(pem))


@dataclass
class _Trained:
    """What a team may aim at: the names are those of ``tests.support.world.World``."""

    shared: _Home

    def __post_init__(self) -> None:
        registry = Registry(self.shared.of(B))
        release = registry.resolve("shout@released")
        student = registry.resolve(_FIRST.student)
        checkpoint = read_manifest(self.shared.of(B), student.digest, Student).checkpoint
        fork = registry.resolve("fork-point@released")
        self.fork = (fork.record, fork.digest)
        self.climbs = {"math": (checkpoint.record, checkpoint.digest)}
        self.releases = {"math": (release.record, release.digest)}
        self.student = (student.record, student.digest)
        self.unmade = Derivation(
            kind="rl", inputs=(), source=TOKENIZER, settings={"next": 1}, seed=7, project=B
        )


def trial(seed: int) -> dict[str, object]:
    """Act in five worlds, train a student in each, and compare it with an undisturbed one."""
    expected = _undisturbed()

    class Machine(TwoTeams):
        victim = "teacher.shout"
        shared: _Home
        world: Any  # of other checkpoints than the small world's, under the same names

        @initialize()
        def begin(self) -> None:
            self.folder = Path(tempfile.mkdtemp(prefix="trained-"))
            home = self.folder / "home"
            shutil.copytree(_home(), home, symlinks=True)
            self.shared = _Home(home)
            self.world = _Trained(self.shared)
            self.mine = self.shared.code
            self.acts = 0

        def nothing_changed_for_others(self) -> None:
            """Nothing is looked at until the end."""

        @precondition(lambda self: False)
        @rule()
        def others_go_on_in_a_copy(self) -> None:
            """They go on at the end."""

        def teardown(self) -> None:
            if hasattr(self, "world"):
                found = _train(_LAST, self.shared.home)
                super().teardown()  # type: ignore[no-untyped-call]
                assert found == expected, f"another student: {found}, not {expected}"

    return run_machine(Machine, seed, worlds=5, steps=_STEPS)


@cache
def _undisturbed() -> str:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shutil.copytree(_home(), home, symlinks=True)
        return _train(_LAST, home)


def _home() -> Path:
    return once("trained-teachers", _make_home)


def _make_home(home: Path) -> None:
    """Make the teachers and a first student, each stage with the key of its team."""
    home.mkdir()
    keys, maintainer = {team: SigningKey.generate() for team in _NAMES}, SigningKey.generate()
    for team, key in keys.items():
        write_key(home / f"{team}.pem", key)
    teams = {
        team: Team(names=_NAMES[team], keys=(TrustedKey(public=key.public, since=SINCE),))
        for team, key in keys.items()
    }
    root = TrustRoot(maintainers=(maintainer.public,), teams=teams)
    publish(FolderStore(home / "store"), root, maintainer)
    packages = str(home / "teams")
    begin = (
        "from tests.support import tiny_faculty as tiny\n"
        f"with tiny.importable({packages!r}), tiny.home_at({str(home)!r}):\n"
    )
    write = f"for team in tiny.TEAMS: tiny.write_team({packages!r}, team)\n"
    run_python(
        begin.replace("with", f"{write}with") + "    tiny.make_fork_point()\n",
        home,
        _key(home, "foundation"),
    )
    climb = "    for team in tiny.TEAMS: tiny.climb(f'{tiny.PACKAGE}.{team}')\n"
    run_python(begin + climb, home, _key(home, B))
    _train(_FIRST, home)


def _train(job: Job, home: Path) -> str:
    run = Run(job, home, _key(home, "consolidation"))
    if failed := run.finish():
        raise AssertionError(failed)
    return student_in(job, FolderStore(home / "store"))


def _key(home: Path, team: str) -> dict[str, str]:
    return {f"{KEY_VARIABLE}_FILE": os.fspath(home / f"{team}.pem")}
