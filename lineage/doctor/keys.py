"""Which trust root and which signing key are in effect, and for how long."""

from datetime import UTC, datetime

from lineage.doctor.check import Check, Group
from lineage.errors import LineageError
from lineage.signing import signer_of, signing_key
from lineage.trust import TrustRoot, open_trust

_STORE = Group("store")
_KEYGEN = "`provost teacher keygen FILE` makes a key; its public half goes into the trust root"


def check_keys() -> list[Check]:
    """Return the checks of the trust root and of the key that would sign."""
    try:
        trust = open_trust()
    except LineageError as error:
        return [_STORE.fail("trust root", str(error), "restore the trust root from its history")]
    if trust is None:
        remedy = "name its file with $PROVOST_TRUST, such as infra/trust.toml"
        return [_STORE.warn("trust root", "none: signatures cannot be judged", remedy)]
    keys = sum(len(team.keys) for team in trust.teams.values())
    root = _STORE.ok("trust root", f"{len(trust.teams)} teams, {keys} keys")
    return [root, _check_key(trust)]


def _check_key(trust: TrustRoot) -> Check:
    try:
        private = signing_key()
    except LineageError as error:
        return _STORE.fail("signing key", str(error), _KEYGEN)
    if not private:
        return _STORE.warn("signing key", "none: what is released is unsigned", _KEYGEN)
    public = str(signer_of(private).public_key.keyval["public"])
    for team, item in trust.teams.items():
        for key in item.keys:
            if key.public == public:
                problem = key.why_not(datetime.now(UTC).isoformat())
                if problem:
                    return _STORE.fail("signing key", f"of {team}, but {problem}", _KEYGEN)
                until = f"until {key.until}" if key.until else "without an end"
                return _STORE.ok("signing key", f"{public[:16]} of {team}, valid {until}")
    found = f"{public[:16]} belongs to no team of the trust root"
    return _STORE.fail("signing key", found, _KEYGEN)
