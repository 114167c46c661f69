"""The last act of publishing: register a signed version, and move its aliases once.

What may be published is decided before; here the name gets its next version.
"""

from collections.abc import Sequence

from lineage.artifacts import Artifact
from lineage.registry.registry import Entry, Registry
from tasks.platform.step_runner import StepRunner

RELEASED, CANDIDATE = "released", "candidate"


def publish(
    runner: StepRunner,
    name: str,
    artifact: Artifact,
    *,
    owner: str,
    note: str = "",
    aliases: Sequence[str] = (CANDIDATE,),
) -> Entry:
    """Return the entry of ``artifact`` under ``name``: registered, signed, with its aliases.

    An alias moves to a version once, when the version is new. A rerun or a retry of an older one
    finds its entry and leaves the aliases to those who moved them since: a later version, or a
    person who rolled back.
    """
    registry = Registry(runner.store)
    entry = registry.register(name, artifact, owner=owner, note=note)
    for alias in aliases:
        if moves_to(registry, alias, entry):
            registry.point(name, alias, entry.version, by=owner)
    runner.mirror.add_name(runner.store, name)
    return entry


def moves_to(registry: Registry, alias: str, entry: Entry) -> bool:
    """Return whether an alias has yet to be moved to an entry.

    It has where no move ever named this version and no later one holds the alias: also after a run
    that was killed between the registration and the move.
    """
    moves = [move for move in registry.moves(entry.name) if move.alias == alias]
    if any(move.version == entry.version for move in moves):
        return False
    return not moves or moves[-1].version < entry.version
