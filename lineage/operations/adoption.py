"""Brings old unsigned statements under a trust root, and endorses statements of old keys."""

from lineage.digest import canonical_json, digest_bytes
from lineage.dsse import SigningKey, key_id, parse_envelope
from lineage.errors import TrustRootError
from lineage.registry.names import Names
from lineage.store.store import Store
from lineage.trust.chain import own_root, publish, read_chain
from lineage.trust.journal import (
    ENDORSEMENTS,
    PROJECTS,
    Endorsement,
    Journal,
    Slots,
    read_inventory,
)
from lineage.trust.older import PREFIXES
from lineage.trust.root import Team, TrustRoot
from lineage.trust.statement import Statement


def adopt(store: Store, key: SigningKey) -> tuple[TrustRoot, int]:
    """Let the unsigned statements of a store count; return its trust root and how many there are.

    A store without a trust root gets one in which ``key`` owns all names. A maintainer vouches for
    every statement that exists now: one written into the old layout later does not count.

    Raises:
        NotEntitledError: for a key of no maintainer.
        TrustRootError: where there is nothing to adopt, or it was done before.
    """
    root = read_chain(store) or own_root(key)
    if root.adopted:
        raise TrustRootError(
            "the older statements of this store were adopted before, and that works only once: "
            "anything unsigned that was added since does not count"
        )
    found: dict[str, str] = {}
    for prefix in PREFIXES:
        for slot in store.keys(prefix):
            found[slot] = digest_bytes(store.read_key(slot) or b"")
    if not found:
        raise TrustRootError("there is nothing to adopt: the store holds no unsigned statement")
    inventory = store.put_bytes(canonical_json({**found}))
    return publish(store, root.model_copy(update={"adopted": inventory}), key), len(found)


def endorse(store: Store, reason: str) -> Statement[Endorsement]:
    """State that what the author's team has signed up to now counts, whatever becomes of its keys.

    A new key does this before the old one is rotated out, or after the old one was revoked: what a
    thief wrote with it in between is endorsed as well, so look at it first.
    """
    journal = Journal(store)
    author = journal.author
    found = {}
    for slot in store.keys(f"{PROJECTS}/{author.project}"):
        if f"/{ENDORSEMENTS}/" not in slot:
            found[slot] = digest_bytes(store.read_key(slot) or b"")
    endorsement = Endorsement(inventory=store.put_bytes(canonical_json({**found})), reason=reason)
    slots: Slots[Endorsement] = journal.slots(author.project, ENDORSEMENTS, Endorsement)
    written = slots.append(lambda _, __: endorsement)
    assert written is not None
    return written


def refuse_losses(store: Store, wanted: TrustRoot) -> None:
    """Refuse a trust root under which valid statements of a team could not be read any more.

    A key that signed something stays listed, out of effect where it must be: no endorsement reaches
    what an unlisted key signed. A team that stated something keeps its project and names.

    Raises:
        TrustRootError: naming the team, and what to write instead.
    """
    names = Names(store)
    trust = names.journal.trust
    for team, item in trust.teams.items() if trust else ():
        assert trust is not None
        project = trust.project_of(team)
        if not store.keys(f"{PROJECTS}/{project}"):
            continue
        teams = [each for name, each in wanted.teams.items() if wanted.project_of(name) == project]
        listed = {key.public for each in teams for key in each.keys}
        gone = [key.public[:16] for key in item.keys if key.public not in listed]
        moved = [
            name
            for name in names.names()
            if trust.owner_of(name) == team and wanted.project_of(wanted.owner_of(name)) != project
        ]
        if gone or moved:
            raise TrustRootError(
                f"with this file, what {team} has signed could not be read any more: project "
                f"{project!r} would lose the keys {gone} and the names {moved}. Keep each key, "
                'with `until = "..."` or `revoked = "..."`; a team with another name keeps its '
                f'statements by `project = "{project}"`'
            )


def unendorsed(store: Store, wanted: TrustRoot) -> list[str]:
    """Return the teams with older statements that another trust root would invalidate."""
    journal = Journal(store)
    if journal.trust is None:
        return []
    return [
        team
        for team, item in wanted.teams.items()
        if any(key.until and key.why_not() and not key.revoked for key in item.keys)
        and not _is_endorsed(journal, wanted.project_of(team), item)
    ]


def _is_endorsed(journal: Journal, project: str, team: Team) -> bool:
    """Return whether keys that stay in effect have endorsed all that the others have signed."""
    stay = {key_id(key.public) for key in team.keys if not key.why_not()}
    endorsed: set[str] = set()
    for statement in journal.slots(project, ENDORSEMENTS, Endorsement).all(retired=True):
        if key_id(statement.key.public) in stay:
            endorsed |= read_inventory(journal.store, statement.body.inventory).keys()
    left = set(journal.store.keys(f"{PROJECTS}/{project}")) - endorsed
    return all(_signers(journal.store, key) & stay for key in left)


def _signers(store: Store, key: str) -> set[str]:
    """Return the ids of the keys that signed a slot."""
    return set(parse_envelope(store.read_key(key) or b"", key).signatures)
