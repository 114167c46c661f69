"""A store that two teams, a foundation and a consolidation share, each with a key of its own."""

from pathlib import Path

from lineage.dsse import SigningKey
from lineage.store import FolderStore
from lineage.trust import Team, TrustedKey, TrustRoot
from lineage.trust_chain import publish

SINCE = "2026-11-01T00:00:00+00:00"
NAMES = {
    "math-team": ("teacher.math",),
    "code-team": ("teacher.code", "teacher.code-*"),
    "foundation": ("base", "fork-point"),
    "consolidation": ("student.*", "audit.*"),
}
MAINTAINER = SigningKey.generate()
KEYS = {team: SigningKey.generate() for team in NAMES}
NEW_KEYS = {team: SigningKey.generate() for team in NAMES}


def root(**changed: dict[str, str]) -> TrustRoot:
    """Return a trust root. Where a team's first key is ``changed``, its new one is listed too."""
    teams = {}
    for team, names in NAMES.items():
        changes = changed.get(team.replace("-", "_"), {})
        keys = [TrustedKey(public=KEYS[team].public, since=SINCE, **changes)]
        if changes:
            keys.append(TrustedKey(public=NEW_KEYS[team].public, since=SINCE))
        teams[team] = Team(names=names, keys=tuple(keys))
    return TrustRoot(maintainers=(MAINTAINER.public,), teams=teams)


class Shared:
    """One folder, opened by each team with its own key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        publish(FolderStore(folder), root(), MAINTAINER)
        self.math, self.code = self.of("math-team"), self.of("code-team")
        self.foundation, self.consolidation = self.of("foundation"), self.of("consolidation")

    def of(self, team: str, key: SigningKey | None = None) -> FolderStore:
        return FolderStore(self.folder, signing_key=key or KEYS[team])

    def publish(self, wanted: TrustRoot) -> TrustRoot:
        return publish(FolderStore(self.folder), wanted, MAINTAINER)
