"""The author of statements: the private key of this process, and the team that owns it.

A pod gets its team's key from a secret. A person's own key is made the first time it is needed and
kept with the user's other settings, so that a store looks the same from every folder.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lineage.dsse import SigningKey
from lineage.errors import BadKeyError, NotEntitledError, NoTrustRootError, TrustRootError
from lineage.store.store import Store
from lineage.trust.chain import own_root, publish, read_chain
from lineage.trust.root import TrustRoot

KEY_VARIABLE = "PROVOST_SIGNING_KEY"
"""Holds the private key as PEM, or ``<variable>_FILE`` the path to it (a mounted secret)."""
_OLD_PREFIXES = ("records", "attestations", "registry")
"""Prefixes of unsigned statements from before a store had a trust root."""


@dataclass(frozen=True)
class Author:
    """A team and its key, with which this process writes into a store."""

    team: str
    project: str
    key: SigningKey


def author_of(store: Store, trust: TrustRoot | None) -> tuple[Author, TrustRoot]:
    """Return who writes with the key at hand, and the trust root that says so.

    A new folder store gets a trust root of its own, in which the key at hand owns all names.

    Raises:
        NoTrustRootError: for a store without a trust root that is not a new folder.
        NotEntitledError: for a key that the trust root does not list, or that is out of effect.
        BadKeyError: for a key that cannot be read.
    """
    key = store.signing_key or key_at_hand()
    if trust is None:
        trust = _first_root(store, key)
    found = trust.team_of_key(key.keyid)
    if found is None:
        raise NotEntitledError(
            f"the key {key.public[:16]} belongs to no team in the trust root of {store.uri}, so "
            "its signatures would not count. Have a maintainer add its public half "
            f'("{key.public}") with `provost trust publish`'
        )
    team, listed = found
    if problem := listed.why_not():
        raise NotEntitledError(
            f"the key {key.public[:16]} of {team} may not sign: {problem}. Use the team's new key"
        )
    return Author(team, trust.project_of(team), key), trust


def _first_root(store: Store, key: SigningKey) -> TrustRoot:
    if "://" in store.uri:
        raise NoTrustRootError(
            f"{store.uri} has no trust root, so no statement in it would count. Have a "
            "maintainer publish one with `provost trust publish infra/trust.toml` (for a bucket "
            "of your own: `provost trust init`)"
        )
    if any(store.keys(prefix) for prefix in _OLD_PREFIXES):
        raise NoTrustRootError(
            f"{store.uri} was made before statements were signed, so it is read-only: run "
            "`provost lineage adopt` once to sign its content and write again"
        )
    try:
        return publish(store, own_root(key), key)
    except (TrustRootError, NotEntitledError):
        root = read_chain(store)  # another process was first
        if root is None:
            raise
        return root


def key_at_hand() -> SigningKey:
    """Return the key that the environment names, else the person's own.

    Raises:
        BadKeyError: where it cannot be had.
    """
    return given_key() or own_key()


def given_key(environment: Mapping[str, str] | None = None) -> SigningKey | None:
    """Return the private key that the environment names; None where it names none.

    Raises:
        BadKeyError: if it cannot be read or is not a key. Call this before any work is done.
    """
    variables = os.environ if environment is None else environment
    path = variables.get(f"{KEY_VARIABLE}_FILE")
    try:
        pem = Path(path).read_text(encoding="ascii") if path else variables.get(KEY_VARIABLE, "")
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeyError(
            f"the signing key cannot be read ({error}): set ${KEY_VARIABLE}_FILE to the path of "
            "a key, or unset it to sign with your own key"
        ) from error
    return SigningKey.from_pem(pem) if pem else None


def key_there_is() -> SigningKey | None:
    """Return the key at hand, without making one; None without a key that can be read."""
    try:
        return given_key() or (own_key() if own_key_path().exists() else None)
    except (BadKeyError, OSError, RuntimeError):  # RuntimeError: a user without a home folder
        return None


def own_key_path() -> Path:
    """Return where a person's own key is kept."""
    settings = os.environ.get("XDG_CONFIG_HOME")
    return (Path(settings) if settings else Path.home() / ".config") / "provost" / "signing-key.pem"


def own_key() -> SigningKey:
    """Return a person's own key, made the first time.

    Raises:
        BadKeyError: where it can be neither read nor made.
    """
    path = own_key_path()
    try:
        if not path.exists():
            write_key(path, SigningKey.generate())
        return SigningKey.from_pem(path.read_text(encoding="ascii"))
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home folder
        raise BadKeyError(
            f"cannot save your signing key at {path} ({error}): make one elsewhere with `provost "
            f"teacher keygen FILE` and set ${KEY_VARIABLE}_FILE to it"
        ) from error


def write_key(path: Path, key: SigningKey) -> None:
    """Write a private key that its owner alone can read, whole or not at all.

    Where another process was first, its key stays.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.to_pem())
        with suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink()
