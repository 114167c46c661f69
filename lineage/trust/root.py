"""The trust root: who owns which names, which keys speak for them, and who may change that.

Its source is a TOML file under review; ``provost trust publish`` puts it into the store as the next
version of a signed chain (``lineage.trust.chain``), which is what everybody reads:

    maintainers = ["<64 hex digits of an ed25519 key>"]  # may publish the next version

    [teams.math-team]
    names = ["teacher.math"]         # "student.*" means all names that begin so
    project = "math-team"            # where its statements lie; the team's name unless it is given

    [[teams.math-team.keys]]
    public = "<64 hex digits>"
    since = "2026-11-01T00:00:00+00:00"
    until = ""      # rotation: from then on only what a key in effect endorsed counts
    revoked = ""    # compromise: the same, at once, and for signatures of older stores too
"""

import tomllib
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from lineage.artifacts import Digest
from lineage.dsse import key_id
from lineage.errors import TrustRootError
from lineage.frozen import Frozen

PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""The 32 bytes of an ed25519 public key, in hex."""


class TrustedKey(Frozen):
    """One public key."""

    public: PublicKey
    since: str
    """When it was listed, as information for people."""
    until: str = ""
    """Moment from which it is rotated out; "" for no end."""
    revoked: str = ""
    """Moment at which it was revoked, because somebody else may have it; "" if it was not."""
    reason: str = ""

    @field_validator("since", "until", "revoked")
    @classmethod
    def _moment(cls, value: str) -> str:
        if value and datetime.fromisoformat(value).utcoffset() is None:
            raise ValueError(f"{value!r} has no offset; write it as 2026-11-01T00:00:00+00:00")
        return value

    def why_not(self, moment: str = "") -> str:
        """Return why the key is not in effect at a moment (by default now); "" if it is."""
        if self.revoked:
            return (
                f"its key was revoked on {self.revoked[:10]} ({self.reason or 'no reason given'})"
            )
        if not self.until:
            return ""
        when = datetime.fromisoformat(moment) if moment else datetime.now(UTC)
        if when >= datetime.fromisoformat(self.until):
            return f"its key was rotated out on {self.until[:10]}"
        return ""


class Team(Frozen):
    """What a team owns, and the keys that speak for it."""

    names: tuple[str, ...] = Field(min_length=1)
    """Registry names: exact, such as ``teacher.math``, or all that begin so, as ``student.*``."""
    project: str = Field(default="", pattern=r"^([a-z0-9]+(-[a-z0-9]+)*)?$")
    """Project of its statements in the store; "" means the team's name."""
    keys: tuple[TrustedKey, ...] = ()

    @field_validator("names")
    @classmethod
    def _patterns(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if "*" in name.removesuffix("*"):
                raise ValueError(
                    f"name {name!r} has a '*' before its end; use '*' only as the last character"
                )
        return names


class TrustRoot(Frozen):
    """All teams, and the keys that may change them."""

    store: str = Field(default="", pattern=r"^([0-9a-f]{32})?$")
    """Id of the store, made with its first trust root; every statement names it."""
    version: int = Field(default=0, ge=0)
    previous: str = ""
    """Digest of the previous version in the store."""
    maintainers: tuple[PublicKey, ...] = ()
    """Public keys that may sign the next version."""
    teams: dict[str, Team] = Field(default_factory=dict)
    adopted: Digest | None = None
    """Inventory of the unsigned statements, from before there was a trust root, that count."""

    @model_validator(mode="after")
    def _one_owner(self) -> Self:
        """Refuse a name, key or project of two teams: its valid signer would be ambiguous."""
        names = [name for team in self.teams.values() for name in team.names]
        publics = [key.public for team in self.teams.values() for key in team.keys]
        projects = [self.project_of(team) for team in self.teams]
        for values, what in ((names, "name"), (publics, "key"), (projects, "project")):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]} is listed twice; give it to one team")
        return self

    def owner_of(self, name: str) -> str:
        """Return the team that owns a registry name, or "". The longest pattern that fits wins."""
        owners = self._owners
        if name in owners:
            return owners[name]
        starts = (f"{name[:length]}*" for length in range(len(name), -1, -1))
        return next((owners[start] for start in starts if start in owners), "")

    def project_of(self, team: str) -> str:
        """Return where a team's statements lie; "" for a team that is not listed."""
        return (self.teams[team].project or team) if team in self.teams else ""

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {name: team for team, item in self.teams.items() for name in item.names}

    @cached_property
    def projects(self) -> dict[str, str]:
        """Project to team, sorted by project."""
        return dict(sorted((self.project_of(team), team) for team in self.teams))

    @cached_property
    def _keys(self) -> dict[str, tuple[str, TrustedKey]]:
        return {
            key_id(key.public): (team, key)
            for team, item in self.teams.items()
            for key in item.keys
        }

    def team_of_key(self, keyid: str) -> tuple[str, TrustedKey] | None:
        """Return the team and the entry of a key, or None for a key that no team lists."""
        return self._keys.get(keyid)


def read_trust(path: Path) -> TrustRoot:
    """Return the trust root in a TOML file.

    Raises:
        TrustRootError: if the file does not exist or is not valid.
    """
    try:
        return TrustRoot.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TrustRootError(f"the trust root {path} cannot be read: {error}") from error
    except (ValidationError, ValueError) as error:
        raise TrustRootError(
            f"the trust root {path} is not valid: {error}. Correct it, or restore an earlier "
            "version of the file"
        ) from error
