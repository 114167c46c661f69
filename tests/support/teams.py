"""A store that two teams, a foundation and a consolidation share, each with a key of its own."""

import shutil
from pathlib import Path

from lineage.dsse import SigningKey
from lineage.store.store import FolderStore, Store
from lineage.trust.chain import publish
from lineage.trust.root import Team, TrustedKey, TrustRoot
from tests.support.roles import may

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
        self.publish(root())
        self.math, self.code = self.of("math-team"), self.of("code-team")
        self.foundation, self.consolidation = self.of("foundation"), self.of("consolidation")

    def of(self, team: str, key: SigningKey | None = None) -> Store:
        return FolderStore(self.folder, signing_key=key or KEYS[team])

    def publish(self, wanted: TrustRoot) -> TrustRoot:
        return publish(FolderStore(self.folder), wanted, MAINTAINER)

    def put_raw(self, team: str, key: str, content: bytes, *, replace: bool) -> None:
        """Write an object as far as the team's role allows it."""
        path = self.folder / key
        if path.exists():
            if replace and may(team, "overwrite", key):
                path.chmod(0o644)
                path.write_bytes(content)
        elif may(team, "create", key):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def remove_raw(self, team: str, key: str) -> None:
        """Remove an object where the team's role allows it."""
        if may(team, "delete", key):
            (self.folder / key).unlink()

    def copied(self, folder: Path) -> "Shared":
        """Return a copy of everything, in which others may go on."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Shared(folder)
