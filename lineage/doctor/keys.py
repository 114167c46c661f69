"""Which trust root and which signing key are in effect, and for how long."""

import os
from pathlib import Path

from lineage.doctor.check import Check, Group
from lineage.dsse import SigningKey
from lineage.errors import LineageError, StoreUnfitError
from lineage.store.store import home, open_store
from lineage.trust.author import KEY_VARIABLE, given_key, own_key_path
from lineage.trust.chain import read_chain
from lineage.trust.root import TrustRoot

_STORE = Group("store")
_NONE_YET = "none yet: the first run makes one"
_KEYGEN = "`provost teacher keygen FILE` makes a key; its public half goes into the trust root"


def check_keys(place: str | None = None) -> list[Check]:
    """Return the checks of a store's trust root and of the key that would sign. Makes nothing.

    The store is the one at ``place``, by default the one that commands would open.
    """
    uri = place or os.environ.get("PROVOST_STORE") or str(home() / "store")
    if "://" not in uri and not Path(uri).is_dir():
        return [_STORE.ok("trust root", _NONE_YET), _check_key(None)]
    try:
        store = open_store(uri)
        trust = read_chain(store)
    except StoreUnfitError:
        return [_check_key(None)]  # which the check of the store reports
    except LineageError as error:
        remedy = "restore the trust root from a copy of the store"
        return [_STORE.fail("trust root", str(error), remedy)]
    if trust is not None:
        keys = sum(len(team.keys) for team in trust.teams.values())
        told = f"version {trust.version} of store {trust.store[:8]}, "
        root = _STORE.ok("trust root", told + f"{len(trust.teams)} teams, {keys} keys")
    elif store.keys("records"):
        told, remedy = "none: what the store holds is unsigned", "`provost lineage adopt`"
        root = _STORE.warn("trust root", told, remedy)
    else:
        root = _STORE.ok("trust root", _NONE_YET)
    return [root, _check_key(trust)]


def _check_key(trust: TrustRoot | None) -> Check:
    try:
        key = given_key() or _own_key()
    except (LineageError, OSError) as error:
        return _STORE.fail("signing key", str(error), _KEYGEN)
    if key is None:
        return _STORE.ok("signing key", f"none yet: the first run makes {own_key_path()}")
    if trust is None:
        return _STORE.ok("signing key", f"{key.public[:16]}")
    found = trust.team_of_key(key.keyid)
    if found is None:
        remedy = f"a maintainer adds it with `provost trust publish`, or set ${KEY_VARIABLE}_FILE"
        return _STORE.fail("signing key", f"{key.public[:16]} belongs to no team", remedy)
    team, listed = found
    if problem := listed.why_not():
        return _STORE.fail("signing key", f"of {team}, but {problem}", _KEYGEN)
    until = f"until {listed.until}" if listed.until else "without an end"
    return _STORE.ok("signing key", f"{key.public[:16]} of {team}, valid {until}")


def _own_key() -> SigningKey | None:
    path = own_key_path()
    return SigningKey.from_pem(path.read_text(encoding="ascii")) if path.exists() else None
