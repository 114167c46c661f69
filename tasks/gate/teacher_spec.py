"""The teachers that a person asks for.

``math@released``, ``math@3=0.7`` for a share, ``instruct@2=self`` for the student itself, and
``math@3#think`` for the prompts of one thinking mode alone (``math@3#think=0.7`` for both).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

SELF = "self"


@dataclass(frozen=True)
class TeacherSpec:
    """One teacher as the person wrote it."""

    reference: str
    """Of a registered release."""
    share: float | None
    """Of its domain's rollouts, where it was said."""
    is_self: bool
    """The student itself shall teach the release's domain (MiMo-V2-Flash calls it "Self")."""
    mode: str | None = None
    """The thinking mode or effort of the prompts that it shall score; None for all of them."""


def parse_teacher_spec(text: str) -> TeacherSpec:
    """Split ``reference[#mode][=share|=self]``.

    Raises:
        ValueError: for a share that is no number above 0 and at most 1, or an empty mode.
    """
    named, separator, what = text.strip().partition("=")
    reference, marked, mode = named.partition("#")
    if marked and not mode:
        raise ValueError(
            f"{text!r} names no mode after '#': write one that prompts are labelled with, such as "
            f"{reference}#think, or leave '#' out"
        )
    whole = TeacherSpec(reference, None, is_self=what == SELF, mode=mode or None)
    if not separator or whole.is_self:
        return whole
    try:
        share = float(what)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise ValueError(
            f"{text!r}: {what!r} is no share of a domain's rollouts; write a number above 0 and at "
            f"most 1, such as {reference}=0.5, or {reference}={SELF} to let the student itself "
            "teach that domain"
        )
    return replace(whole, share=share)


@dataclass(frozen=True)
class Assignment:
    """What a spec becomes beside the others: its name and its share."""

    name: str
    share: float


def assign(
    specs: Sequence[TeacherSpec], domains: Sequence[str], versions: Sequence[int]
) -> list[Assignment]:
    """Give each spec, of a domain and a version, its name and its share of domain and mode.

    Raises:
        ValueError: where a domain's shares are not all said or do not sum to 1, or one teacher is
            named twice.
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
        raise ValueError(f"the teachers {twice} are named twice: name each once, with its share")
    return assignments


def _name(spec: TeacherSpec, domain: str, version: int) -> str:
    return f"{domain}@{SELF}" if spec.is_self else f"{domain}@{version}"


def _refuse_uneven(domain: str, stated: Sequence[float | None]) -> None:
    numbers = [share for share in stated if share is not None]
    whole = len(stated) == 1 and not numbers
    if whole or (len(numbers) == len(stated) and abs(sum(numbers) - 1.0) < 1e-9):
        return
    raise ValueError(
        f"the domain {domain!r} has {len(stated)} teacher(s) with the shares {list(stated)}: where "
        "several teach one domain, say the share of each so that they sum to 1, such as "
        f"{domain}@3=0.7 and {domain}@2=0.3; a single teacher needs no share"
    )
