"""Manual release of a candidate: moves the alias and records the person and the reason."""

import click

from lineage.artifacts import Artifact, Release, parse_manifest
from lineage.operations.recall import refuse_recalled_family
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.rules.evidence import Evidence, refuse_broken
from lineage.rules.table import check
from lineage.store.store import open_store
from tasks.contracts.publication import RELEASED
from tasks.platform.views import Mirror
from tasks.release.gain import LEAST_SCORE, gain_of
from workflows.commands.output import say


def promote_entry(mirror: Mirror, prefix: str, reference: str, by: str, reason: str) -> None:
    """Point ``released`` at a version of a name that begins with ``prefix``.

    Its records must still hold together, and nothing behind it may be recalled.

    Raises:
        LineageError: for a version that may not be released.
        ClickException: for a reference of another kind, or an empty reason.
    """
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(reference)
    if not entry.name.startswith(prefix):
        raise click.ClickException(f"{reference!r} is {entry.name}, not a {prefix}* name")
    if not reason.strip():
        raise click.ClickException("a promotion needs a reason for the record: give --reason")
    before = registry.aliases(entry.name).get(RELEASED)
    what = f"{entry.name}@{entry.version}"
    if before == entry.version:
        raise click.ClickException(f"{entry.name}@{RELEASED} is version {before} already")
    made = Records(store).read(entry.record)
    refuse_broken(what, list(check(Evidence(store), made, entry.digest)))
    artifact = Artifact(kind=entry.kind, digest=entry.digest, record=entry.record)
    refuse_recalled_family(store, [artifact])
    registry.point(entry.name, RELEASED, entry.version, by=by, reason=reason)
    mirror.add_name(store, entry.name)
    say(f"{entry.name}@{RELEASED} is version {entry.version}; it was {before or 'none'}")


def told_of_candidate(made: Artifact) -> list[str]:
    """Return why a teacher stays a candidate and how to release it; nothing if released."""
    store = open_store()
    registry = Registry(store)
    entry = registry.resolve(made.digest)
    if registry.aliases(entry.name).get(RELEASED) == entry.version:
        return []
    gain = gain_of(store, parse_manifest(store.get_bytes(made.digest), Release))
    attested = Records(store).output(entry.record)
    least_score = float(str(attested.notes.get(LEAST_SCORE, 0.0))) if attested else 0.0
    what = f"{entry.name.removeprefix('teacher.')}@{entry.version}"
    why = gain.unmet(least_score) or "it is good enough, and a person moved `released` elsewhere"
    return [
        f"{what} stays a candidate: {why}. Its gain is {gain}. To release it all the same:",
        f"  provost teacher promote {what} --by YOU --reason '...'",
    ]
