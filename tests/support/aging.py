"""A store grows old: its file system's clock goes on, and nothing else changes."""

import pytest

from lineage.store.scratch import Scratch

DAY = 24 * 3600.0


def grow_old(monkeypatch: pytest.MonkeyPatch, days: float = 2) -> None:
    """Let so many days pass for every folder store of this process."""
    now = Scratch.now
    monkeypatch.setattr(Scratch, "now", lambda self: now(self) + days * DAY)
