"""``provost lineage verify``: whether a checkpoint and all behind it are what records say."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from lineage.digest import digest_file
from lineage.graph.graph import Lineage
from lineage.operations.unchanged import Unchanged, place_of, read_note
from lineage.operations.verify import Verification, Verifier
from lineage.store.store import Store, open_store
from lineage.trust.author import key_at_hand
from workflows.commands import answers
from workflows.commands.output import as_json, complain, emit, say


@click.command()
@click.argument("reference")
@click.option("--require-signed", is_flag=True, help="Report unsigned statements as faults.")
@click.option("--full", is_flag=True, help="Hash files too that are as an earlier run left them.")
@as_json
def verify(reference: str, require_signed: bool, full: bool, as_document: bool) -> None:
    """Hash every blob, walk every record to the base, check every signature. Exit 1 on a fault.

    A file that nothing has written to since an earlier verification is not hashed again, unless
    with --full.
    """
    store = open_store()
    record = Lineage(store).find(reference)
    note = _note(store, full=full)
    verifier = Verifier(store, _identity, require_signed=require_signed, unchanged=note)
    found = verifier.verify(record)
    if as_document:
        emit(_verified(found))
    else:
        _tell(found)
    if not found.passed:
        raise SystemExit(1)


def _identity(folder: Path) -> tuple[str, str]:
    from tasks.model.identity import identity_of  # takes seconds

    return identity_of(folder)


def _note(store: Store, *, full: bool) -> Unchanged:
    """Return this user's note on a store, which a ``full`` run does not believe."""
    reader = Path(__file__).parents[2] / "tasks" / "model" / "identity.py"
    packages = [f"{name} {version(name)}" for name in ("transformers", "tokenizers")]
    code = ", ".join([digest_file(reader), *packages])
    key, path = key_at_hand(), place_of(store)
    return Unchanged(store, key, path, read_note(store, key, code, path), is_believed=not full)


def _tell(found: Verification) -> None:
    for signature in found.signatures:
        by = f" by {signature.team}" if signature.team else ""
        why = f": {signature.why}" if signature.why else ""
        say(f"{signature.entry}: {signature.state}{by}{why}")
    for problem in found.problems:
        complain(f"WRONG {problem.subject}: {problem.what}")
    for note in found.unknown:
        say(f"not recorded: {note.subject}: {note.what}")
    verdict = "verified" if found.passed else f"wrong: {len(found.problems)}"
    say(
        f"{verdict}: {found.records} records, {found.blobs} blobs, {found.size / 1e6:.1f} MB hashed"
    )
    if found.since is not None:
        say(
            f"{found.unchanged} of these blobs ({found.unchanged_size / 1e6:.1f} MB) were hashed "
            f"before, the first on {_date(found.since)}, and nothing has written to their files "
            "since; --full hashes them again"
        )


def _date(seconds: float) -> str:
    """Return a time as records write it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _verified(found: Verification) -> answers.Verified:
    return answers.Verified(
        subject=found.subject,
        passed=found.passed,
        records=found.records,
        blobs=found.blobs,
        bytes=found.size,
        unchanged=found.unchanged,
        unchanged_bytes=found.unchanged_size,
        unchanged_since=_date(found.since) if found.since is not None else "",
        signatures=[answers.Vouched(**vars(each)) for each in found.signatures],
        faults=[answers.Fault(**vars(each)) for each in found.problems],
        unknown=[answers.Fault(**vars(each)) for each in found.unknown],
        nondeterministic=found.nondeterministic,
    )
