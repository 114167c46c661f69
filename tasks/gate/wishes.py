"""The teachers that a person asks for: ``math@released``, ``math@3=0.7``, ``instruct@2=self``."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

SELF = "self"


@dataclass(frozen=True)
class Wish:
    """One teacher as it was asked for."""

    reference: str
    """Of a registered release."""
    share: float | None
    """Of its domain's rollouts, where it was said."""
    is_self: bool
    """The student itself shall teach the release's domain (MiMo-V2-Flash calls it "Self")."""


def parse_wish(text: str) -> Wish:
    """Split ``reference[=share|=self]``.

    Raises:
        ValueError: for a share that is no number above 0 and at most 1.
    """
    reference, separator, what = text.strip().partition("=")
    if not separator:
        return Wish(reference, None, is_self=False)
    if what == SELF:
        return Wish(reference, None, is_self=True)
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
    return Wish(reference, share, is_self=False)


@dataclass(frozen=True)
class Seat:
    """What a wish becomes beside the others: its name and its share."""

    name: str
    share: float


def seat(wishes: Sequence[Wish], domains: Sequence[str], versions: Sequence[int]) -> list[Seat]:
    """Give each wish, of a ``domain`` and a version, its name and its share of the domain.

    Raises:
        ValueError: where a domain's shares are not all said or do not sum to 1, or one teacher is
            named twice.
    """
    counts = Counter(domains)
    shares: dict[str, list[float | None]] = defaultdict(list)
    for wish, domain in zip(wishes, domains, strict=True):
        shares[domain].append(wish.share)
    for domain, said in shares.items():
        _refuse_uneven(domain, said)
    seats = [
        Seat(
            name=domain if counts[domain] == 1 else _name(wish, domain, version),
            share=1.0 if wish.share is None else wish.share,
        )
        for wish, domain, version in zip(wishes, domains, versions, strict=True)
    ]
    twice = sorted(name for name, count in Counter(s.name for s in seats).items() if count > 1)
    if twice:
        raise ValueError(f"the teachers {twice} are named twice: name each once, with its share")
    return seats


def _name(wish: Wish, domain: str, version: int) -> str:
    return f"{domain}@{SELF}" if wish.is_self else f"{domain}@{version}"


def _refuse_uneven(domain: str, said: Sequence[float | None]) -> None:
    numbers = [share for share in said if share is not None]
    whole = len(said) == 1 and not numbers
    if whole or (len(numbers) == len(said) and abs(sum(numbers) - 1.0) < 1e-9):
        return
    raise ValueError(
        f"the domain {domain!r} has {len(said)} teacher(s) with the shares {list(said)}: where "
        "several teach one domain, say the share of each so that they sum to 1, such as "
        f"{domain}@3=0.7 and {domain}@2=0.3; a single teacher needs no share"
    )
