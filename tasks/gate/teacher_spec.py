"""Parses the teachers of a launch.

``math@released``, ``math@3=0.7`` with a share, ``instruct@2=self`` for the student itself, and
``math@3#think`` for only the prompts of one thinking mode (``math@3#think=0.7`` with both).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.contracts.refusal import RefusedError

SELF = "self"


@dataclass(frozen=True)
class TeacherSpec:
    """One teacher as written in the launch."""

    reference: str
    """Reference to a registered release."""
    share: float | None
    """Share of its domain's rollouts, if given."""
    is_self: bool
    """Whether the student itself teaches the release's domain ("Self" in MiMo-V2-Flash)."""
    mode: str | None = None
    """Thinking mode or effort of the prompts that it scores; None for all prompts."""


def parse_teacher_spec(text: str) -> TeacherSpec:
    """Split ``reference[#mode][=share|=self]``.

    Raises:
        ValueError: for a share that is not a number above 0 and at most 1, or an empty mode.
    """
    named, separator, what = text.strip().partition("=")
    reference, marked, mode = named.partition("#")
    if marked and not mode:
        raise RefusedError(
            "empty-mode",
            f"{text!r} has no mode after '#': add a mode that the prompts are labeled with, such "
            f"as {reference}#think, or leave '#' out",
        )
    whole = TeacherSpec(reference, None, is_self=what == SELF, mode=mode or None)
    if not separator or whole.is_self:
        return whole
    try:
        share = float(what)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise RefusedError(
            "invalid-share",
            f"{text!r}: {what!r} is not a share of a domain's rollouts. Write a number above 0 "
            f"and at most 1, such as {reference}=0.5, or {reference}={SELF} to let the student "
            "itself teach that domain",
        )
    return replace(whole, share=share)


@dataclass(frozen=True)
class Assignment:
    """A spec's teacher name and share, given the other specs."""

    name: str
    share: float


def assign(
    specs: Sequence[TeacherSpec], domains: Sequence[str], versions: Sequence[int]
) -> list[Assignment]:
    """Give each spec, with its domain and version, its name and its share of domain and mode.

    Raises:
        ValueError: if shares of a domain are missing or do not sum to 1, or a teacher is named
            twice.
    """
    counts = Counter(domains)
    shares: dict[tuple[str, str | None], list[float | None]] = defaultdict(list)
    for spec, domain in zip(specs, domains, strict=True):
        shares[domain, spec.mode].append(spec.share)
    for (domain, _), stated in shares.items():
        _refuse_uneven(domain, stated)
    assignments = [
        Assignment(
            name=domain if counts[domain] == 1 else _name(spec, domain, version),
            share=1.0 if spec.share is None else spec.share,
        )
        for spec, domain, version in zip(specs, domains, versions, strict=True)
    ]
    twice = sorted(
        name for name, count in Counter(s.name for s in assignments).items() if count > 1
    )
    if twice:
        raise RefusedError(
            "repeated-teacher",
            f"the teachers {twice} are named twice: name each once, with its share",
        )
    return assignments


def _name(spec: TeacherSpec, domain: str, version: int) -> str:
    return f"{domain}@{SELF}" if spec.is_self else f"{domain}@{version}"


def _refuse_uneven(domain: str, stated: Sequence[float | None]) -> None:
    numbers = [share for share in stated if share is not None]
    whole = len(stated) == 1 and not numbers
    if whole or (len(numbers) == len(stated) and abs(sum(numbers) - 1.0) < 1e-9):
        return
    raise RefusedError(
        "uneven-shares",
        f"the domain {domain!r} has {len(stated)} teacher(s) with the shares {list(stated)}: if "
        "several teachers have one domain, give each a share so that the sum is 1, such as "
        f"{domain}@3=0.7 and {domain}@2=0.3; a single teacher needs no share",
    )
