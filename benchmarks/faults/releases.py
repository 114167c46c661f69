"""Eight teams release at the same moment: eight versions of eight names, and eight of one."""

import multiprocessing
import tempfile
from multiprocessing.synchronize import Barrier
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore

TEAMS = 8


def _release(folder: str, team: int, gate: Barrier) -> None:
    store = FolderStore(Path(folder))
    artifact = Artifact(kind="release", digest=store.put_bytes(b"release %d" % team))
    gate.wait()
    for name in ("teacher.shared", f"teacher.team-{team}"):
        Registry(store).register(name, artifact, owner=f"team-{team}")
        Registry(store).point(name, f"by-{team}", 1, by=f"team-{team}")


def trial(_seed: int) -> dict[str, object]:
    """Release from eight processes at once; return what is missing or doubled afterwards."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        gate = context.Barrier(TEAMS)
        teams = [
            context.Process(target=_release, args=(folder, team, gate)) for team in range(TEAMS)
        ]
        for team in teams:
            team.start()
        for team in teams:
            team.join()
        violations = [f"exit status {team.exitcode}" for team in teams if team.exitcode]
        registry = Registry(FolderStore(Path(folder)))
        shared = registry.versions("teacher.shared")
        if [entry.version for entry in shared] != list(range(1, TEAMS + 1)):
            violations.append(f"versions {[entry.version for entry in shared]}")
        if {entry.owner for entry in shared} != {f"team-{team}" for team in range(TEAMS)}:
            violations.append(f"owners {[entry.owner for entry in shared]}")
        if len(registry.aliases("teacher.shared")) != TEAMS:
            violations.append(f"aliases {registry.aliases('teacher.shared')}")
    return {"trials": 1, "violations": violations}
