"""References that people type: ``math@released``, ``teacher.math@7``, ``student``."""

import difflib
from dataclasses import dataclass

from lineage.errors import LineageError, UnknownReferenceError

TEACHER = "teacher."
STUDENT = "student."
RELEASED = "released"
MOST_DIGITS = 8


@dataclass(frozen=True)
class Reference:
    """A parsed reference: the names it can mean, and a version or an alias."""

    text: str
    candidates: tuple[str, ...]
    version: int | None
    alias: str


def parse_reference(text: str) -> Reference:
    """Split ``name@version`` or ``name@alias``; a bare name means its ``released`` alias."""
    name, separator, selector = text.partition("@")
    if not name or (separator and not selector):
        raise LineageError(
            f"reference {text!r} is incomplete: write name@version or name@alias, such as "
            "math@released, or a digest sha256:..."
        )
    if name == "student":
        candidates: tuple[str, ...] = ("student.general",)
    else:
        candidates = (name,) if "." in name else (name, TEACHER + name)
    if selector.isdecimal():
        return Reference(text, candidates, _version(selector), "")
    return Reference(text, candidates, None, selector or RELEASED)


def _version(digits: str) -> int:
    """Return a version; the slots of versions have eight digits."""
    if len(digits) > MOST_DIGITS:
        raise UnknownReferenceError(
            f"a version has at most {MOST_DIGITS} digits, not {len(digits)}"
        )
    return int(digits)


def unknown(wanted: Reference, names: list[str]) -> UnknownReferenceError:
    """Return the error for an unregistered name, with the nearest registered one."""
    asked = wanted.candidates[0]
    if asked.startswith("sha256:"):
        return UnknownReferenceError(
            f"{asked!r} is not a complete digest: write sha256: and its 64 hex digits, or at least "
            "its first six digits without sha256:"
        )
    short = {name.removeprefix(TEACHER): name for name in names}
    known = [*short, "student"] if f"{STUDENT}general" in names else [*short]
    near = difflib.get_close_matches(asked.removeprefix(TEACHER), known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else "."
    listed = ", ".join(sorted(short)) or "nothing yet"
    return UnknownReferenceError(
        f"unknown {_kind(asked)} {asked.removeprefix(TEACHER)!r}{guess} Registered: {listed}. "
        f"See {listing(asked)}"
    )


def _kind(name: str) -> str:
    """Return what a name would be of; one without a prefix may be anything."""
    kinds = {TEACHER: "teacher", STUDENT: "student"}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), "name")


def listing(name: str) -> str:
    """Return the command that lists what a name could be."""
    if name.startswith(STUDENT):
        return "`provost student list`"
    teachers = "`provost teacher list`"
    return teachers if name.startswith(TEACHER) else f"{teachers} and `provost student list`"
