"""A teacher that was trained elsewhere: its declared fork point is checked against its weights."""

from collections.abc import Iterator
from pathlib import Path

from lineage.artifacts import Artifact, Rung
from lineage.records.record import Derivation, Input
from lineage.registry.registry import Registry, check_may_publish
from lineage.rules.release import DECLARED_START, IMPORT
from tasks.contracts.planned import trained_from
from tasks.contracts.refusal import RefusedError
from tasks.model.ancestry import CheckpointTensors, ancestry, shapes_of
from tasks.model.bring_in import digests_of, located
from tasks.model.relation import Ancestry
from tasks.model.settings import saved_as
from tasks.model.trained_elsewhere import as_checkpoint
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import PUBLISHED
from tasks.release.settings import ImportSettings

MOST = 8
"""Maximum number of other checkpoints to compare with; each is read from disk once."""
_STEPS_UNKNOWN = 0


def import_teacher(
    runner: StepRunner, settings: ImportSettings, fork_point: Artifact
) -> list[Rung]:
    """Return the teacher's checkpoint in the store, as the only rung of its climb.

    Raises:
        RefusedError: for a checkpoint that cannot be used, or whose weights contradict the declared
            fork point. Nothing is written then.
        NotEntitledError: if this key may not release the teacher.
    """
    check_may_publish(runner.store, f"teacher.{settings.domain}")
    identity, fetch = located(settings.source, runner.store.uri, settings.saved_precision)
    derivation = Derivation(
        project=runner.project,
        kind=IMPORT,
        inputs=(Input.of(DECLARED_START, fork_point),),
        source=source_digest("release"),
        settings={
            **identity,
            "domain": settings.domain,
            "declared": settings.declared.model_dump(mode="json"),
            **saved_as(settings.saved_precision),
        },
        seed=0,
    )

    def make(into: Path, measurements: Measurements) -> Path:
        report(f"{settings.domain} import", 0, 2, message=f"read {settings.source}")
        source = fetch()
        start = runner.store.tree(fork_point.digest)
        hub_id = _hub_id(runner, fork_point)
        brought = as_checkpoint(source, start, into / "model", hub_id, settings.saved_precision)
        said = f"saved in {brought.precision}; compare with the fork point"
        report(f"{settings.domain} import", 1, 2, message=said)
        found = measure_ancestry(runner, brought.folder, fork_point, settings.source)
        measurements.add(0, {"distance": found.distance})
        measurements.notes |= brought.notes
        measurements.notes["license"] = settings.license
        measurements.notes["files"] = digests_of(source)
        measurements.notes["ancestry"] = found.model_dump(mode="json")
        report(f"{settings.domain} import", 2, 2, message=found.summary)
        return brought.folder

    made = runner.find_or_make(derivation, "checkpoint", make, owner=settings.owner)
    return [Rung(step=_STEPS_UNKNOWN, checkpoint=made)]


def _hub_id(runner: StepRunner, checkpoint: Artifact) -> str:
    made = runner.records.read(checkpoint.record).settings if checkpoint.record else {}
    return str(made.get("source") or "")


def measure_ancestry(runner: StepRunner, folder: Path, fork_point: Artifact, name: str) -> Ancestry:
    """Return how a checkpoint lies to its declared fork point.

    It is compared with what the fork point was trained from and with the other registered
    checkpoints, as far as they have its shapes.

    Raises:
        RefusedError: if the weights contradict the declaration, or equal the fork point's.
    """
    tree = runner.store.tree
    own, theirs = shapes_of(folder), shapes_of(tree(fork_point.digest))
    if differ := sorted(set(own.items()) ^ set(theirs.items())):
        raise RefusedError(
            "contradicted-fork-point",
            f"{name} cannot come from its declared fork point {fork_point.digest[:19]}: "
            f"{len({tensor for tensor, _ in differ})} weights are in only one of them or have "
            f"another shape, such as {differ[0][0]}. Declare the checkpoint that it was trained "
            "from; `provost checkpoint import` registers it",
        )
    before = trained_from(runner, fork_point)
    found = ancestry(
        folder,
        CheckpointTensors("the declared fork point", tree(fork_point.digest)),
        tree(before) if before else None,
        list(_others(runner, fork_point)),
    )
    assert found is not None, "the shapes agree"
    if found.contradicted:
        raise RefusedError(
            "contradicted-fork-point",
            f"the weights of {name} do not come from its declared fork point "
            f"{fork_point.digest[:19]}: {found.summary}. Declare the checkpoint that it was "
            "trained from; `provost checkpoint import` registers it",
        )
    if found.distance == 0:
        raise RefusedError(
            "nothing-learned",
            f"the weights of {name} equal those of its declared fork point, so there is nothing to "
            "teach: give the checkpoint after training",
        )
    return found


def _others(runner: StepRunner, fork_point: Artifact) -> Iterator[CheckpointTensors]:
    """Yield the newest other checkpoints that are registered, such as bases and fork points."""
    registry = Registry(runner.store)
    entries = [
        entry
        for name in registry.names()
        if not name.startswith(PUBLISHED)
        for entry in registry.readable(name)
        if entry.kind == "checkpoint" and entry.digest != fork_point.digest
    ]
    newest = sorted(entries, key=lambda entry: entry.created, reverse=True)
    known = {entry.digest: f"{entry.name}@{entry.version}" for entry in newest}
    for digest, name in list(known.items())[:MOST]:
        yield CheckpointTensors(name, runner.store.tree(digest))
