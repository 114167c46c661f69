"""One check of ``provost doctor``: its subject, its status, and the remedy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failure"]
_ORDER: tuple[Status, ...] = ("ok", "warning", "failure")


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    group: str
    """confinement, machine, store, tracking or versions."""
    name: str
    status: Status
    finding: str
    """What was found, in one line."""
    remedy: str = ""
    """What to do about a warning or a failure; empty for ok."""


def worst(checks: Iterable[Check]) -> Status:
    """Return the most serious status; "ok" for an empty list."""
    return max((check.status for check in checks), key=_ORDER.index, default="ok")


@dataclass(frozen=True)
class Group:
    """The checks of one group, bound to their names."""

    name: str

    def ok(self, name: str, finding: str) -> Check:
        """Return a check that found nothing wrong."""
        return Check(self.name, name, "ok", finding)

    def warn(self, name: str, finding: str, remedy: str) -> Check:
        """Return a check that found something to know about."""
        return Check(self.name, name, "warning", finding, remedy)

    def fail(self, name: str, finding: str, remedy: str) -> Check:
        """Return a check that found what stops a run."""
        return Check(self.name, name, "failure", finding, remedy)

    def attempt(self, name: str, remedy: str, work: Callable[[], str]) -> Check:
        """Return ok with what ``work`` says, or a failure with the system's error."""
        try:
            return self.ok(name, work())
        except OSError as error:
            return self.fail(name, f"{type(error).__name__}: {error.strerror or error}", remedy)
