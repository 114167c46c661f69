"""``provost trust``: which teams own which names in a store, and which keys are valid."""

from pathlib import Path

import click

from lineage.operations.adoption import endorse as endorse_all
from lineage.operations.adoption import refuse_losses, unendorsed
from lineage.store.store import open_store
from lineage.trust.author import key_at_hand
from lineage.trust.chain import own_root, read_chain
from lineage.trust.chain import publish as publish_next
from lineage.trust.root import TrustRoot, read_trust
from workflows.commands.answers import ListedKey, ListedTeam, Trust
from workflows.commands.output import as_json, emit, say


@click.group()
def trust() -> None:
    """The trust root of a store: teams, names, keys, and who may change them."""


@trust.command()
@as_json
def show(as_document: bool) -> None:
    """Show the trust root in effect: version, maintainers, and each team's names and keys."""
    store = open_store()
    root = read_chain(store)
    if root is None:
        raise click.ClickException(
            f"{store.uri} has no trust root: create it with `provost trust init`, or with "
            "`provost lineage adopt` in a store with unsigned statements"
        )
    if as_document:
        emit(_document(root))
    else:
        _print(root)


@trust.command()
def init() -> None:
    """Create a trust root for a private store: the key of one team, `local`, owns all names."""
    store, key = open_store(), key_at_hand()
    if read_chain(store) is not None:
        raise click.ClickException(
            f"{store.uri} has a trust root already: see `provost trust show`"
        )
    _print(publish_next(store, own_root(key), key))


@trust.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def publish(file: Path) -> None:
    """Publish FILE, such as infra/trust.toml, as the store's trust root. Needs a maintainer key."""
    store, wanted = open_store(), read_trust(file)
    refuse_losses(store, wanted)
    if teams := unendorsed(store, wanted):
        raise click.ClickException(
            f"the file removes the keys of {', '.join(teams)}, which would invalidate everything "
            "that they signed: publish the new key first, have the team run `provost trust "
            "endorse` with it, and then remove the old key"
        )
    _print(publish_next(store, wanted, key_at_hand()))


@trust.command()
@click.option("--reason", required=True, help="Why; it stays in the record forever.")
def endorse(reason: str) -> None:
    """Confirm with a new key everything that your team has signed so far."""
    done = endorse_all(open_store(), reason)
    say(f"endorsed by {done.team}: {done.body.inventory}")


def _document(root: TrustRoot) -> Trust:
    return Trust(
        store=root.store,
        version=root.version,
        maintainers=list(root.maintainers),
        teams=[
            ListedTeam(
                team=team,
                project=root.project_of(team),
                names=list(item.names),
                keys=[ListedKey(public=k.public, problem=k.why_not()) for k in item.keys],
            )
            for team, item in sorted(root.teams.items())
        ],
    )


def _print(root: TrustRoot) -> None:
    say(f"store {root.store}, trust root version {root.version}")
    for public in root.maintainers:
        say(f"maintainer  {public}")
    for team, item in sorted(root.teams.items()):
        say(f"{team}: {', '.join(item.names)} (project {root.project_of(team)})")
        for key in item.keys:
            problem = key.why_not()
            say(f"  {key.public}  {problem or 'in effect'}")
