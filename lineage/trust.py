"""The trust root: which team may sign which names, with which keys, and since and until when.

It is a TOML file in the repository, so a change to it is reviewed like code:

    [teams.math-team]
    names = ["teacher.math"]

    [[teams.math-team.keys]]
    public = "<64 hex digits of an ed25519 key>"
    since = "2026-11-01T00:00:00+00:00"
    until = ""       # rotation: what was registered before this moment goes on verifying
    revoked = ""     # compromise: nothing that this key signed verifies any more
"""

import os
import tomllib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from lineage.artifacts import Frozen
from lineage.errors import LineageError

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # no __all__


class TrustedKey(Frozen):
    """One public key of a team."""

    public: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The 32 bytes of an ed25519 public key, in hex."""
    since: str
    """For people. A new key may sign again what a revoked one had signed, so it is no bound."""
    until: str = ""
    """Rotated at this moment: what was registered later needs another key."""
    revoked: str = ""
    """Revoked at this moment: the key is not believed at all, for no time."""
    reason: str = ""

    @field_validator("since", "until", "revoked")
    @classmethod
    def _moment(cls, value: str) -> str:
        if value and datetime.fromisoformat(value).utcoffset() is None:
            raise ValueError(f"{value!r} has no offset; write it as 2026-11-01T00:00:00+00:00")
        return value

    def key(self) -> "SSlibKey":
        """Return the key as securesystemslib uses it."""
        return key_of(self.public)

    def why_not(self, moment: str) -> str:
        """Return why the key does not speak for what was registered then; "" where it does."""
        when = datetime.fromisoformat(moment)
        if self.revoked:
            return (
                f"its key was revoked on {self.revoked[:10]} ({self.reason or 'no reason given'})"
            )
        if self.until and when >= datetime.fromisoformat(self.until):
            return f"its key was rotated out on {self.until[:10]}"
        return ""


class Team(Frozen):
    """What a team owns, and the keys that speak for it."""

    names: tuple[str, ...] = Field(min_length=1)
    """Registry names, such as ``teacher.math``."""
    keys: tuple[TrustedKey, ...] = ()


class TrustRoot(Frozen):
    """All teams."""

    teams: dict[str, Team] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_owner(self) -> Self:
        """Refuse a name with two owners and a key of two teams: whose signature would count?"""
        names = [name for team in self.teams.values() for name in team.names]
        publics = [key.public for team in self.teams.values() for key in team.keys]
        for values, what in ((names, "name"), (publics, "key")):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]} stands twice; each has one team")
        return self

    def owner_of(self, name: str) -> str:
        """Return the team that owns a registry name, or ""."""
        return next((team for team, item in self.teams.items() if name in item.names), "")

    def team_of_key(self, keyid: str) -> tuple[str, TrustedKey] | None:
        """Return the team and the entry of a key, or None for a key that nobody listed."""
        for team, item in self.teams.items():
            for key in item.keys:
                if key.key().keyid == keyid:
                    return team, key
        return None


def key_of(public: str) -> "SSlibKey":
    """Return the ed25519 key of 64 hex digits, with the id that follows from it."""
    # late: with its signers securesystemslib imports boto3 wherever that is installed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # noqa: PLC0415

    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)))


TRUST_VARIABLE = "PROVOST_TRUST"
"""Names the trust root's file; without it the repository's own is looked for."""
TRUST_FILE = Path("infra/trust.toml")


def open_trust() -> TrustRoot | None:
    """Return the trust root that $PROVOST_TRUST names, or of the working folder; None without.

    Raises LineageError where the variable names a file that is not there or is not valid.
    """
    named = os.environ.get(TRUST_VARIABLE)
    if named and not Path(named).is_file():
        raise LineageError(
            f"${TRUST_VARIABLE} names {named}, which is no file: correct it, or nothing can be "
            "known of signatures"
        )
    path = Path(named) if named else TRUST_FILE
    return read_trust(path) if path.is_file() else None


def read_trust(path: Path) -> TrustRoot:
    """Return the trust root in a TOML file; a file that is not there trusts nobody."""
    if not path.is_file():
        return TrustRoot()
    try:
        return TrustRoot.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        raise LineageError(
            f"the trust root {path} is not valid: {error}. Until it is, nothing passes as signed; "
            "mend it from its history"
        ) from error
