"""What differs in the making of two checkpoints: data, settings, code, parents, circumstances.

It compares two records, and where inputs of the same role come from different records it goes on
there, up to the base. So "why is this teacher better than last week's?" ends at the line of
settings or the data set that changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lineage.records.derivation import flatten
from lineage.records.record import Attestation, Derivation, Input, Records


@dataclass(frozen=True)
class Difference:
    """One difference; ``where`` is the path of input roles that leads to it, as ``start.data``."""

    where: str
    what: str
    """settings.<key>, source, seed, kind, input, commit, package.<name> ..."""
    before: str
    after: str


ABSENT = "(absent)"


def diff(records: Records, before: str, after: str) -> list[Difference]:
    """Return what differs between two records and all that they descend from.

    Nearest first; a pair of records is compared once. Empty means that both were made of the same
    inputs in the same way under the same circumstances.
    """
    found: list[Difference] = []
    todo, seen = [("", before, after)], {(before, after)}
    while todo:
        where, one, two = todo.pop(0)
        found += _compare(records, where, one, two)
        for role, first, second in _pairs(records.read(one), records.read(two)):
            pair = (first.record, second.record)
            if all(pair) and pair[0] != pair[1] and pair not in seen:
                seen.add(pair)
                todo.append((f"{where}.{role}".lstrip("."), *pair))
    return found


def _compare(records: Records, where: str, before: str, after: str) -> list[Difference]:
    if before == after:
        return []
    one, two = records.read(before), records.read(after)
    rows = [*_derivations(one, two), *_inputs(one, two)]
    latest = records.output(before), records.output(after)
    if latest[0] is not None and latest[1] is not None:
        rows += list(_attestations(latest[0], latest[1]))
    return [Difference(where, what, first, second) for what, first, second in rows]


def _derivations(one: Derivation, two: Derivation) -> Iterator[tuple[str, str, str]]:
    for name in ("kind", "source", "seed"):
        first, second = str(getattr(one, name)), str(getattr(two, name))
        if first != second:
            yield name, first, second
    yield from _tables("settings", dict(flatten(one.settings)), dict(flatten(two.settings)))


def _inputs(one: Derivation, two: Derivation) -> Iterator[tuple[str, str, str]]:
    before, after = _by_role(one), _by_role(two)
    for role in dict.fromkeys([*before, *after]):
        first, second = before.get(role), after.get(role)
        if first is None or second is None:
            yield (
                f"input {role}",
                first.artifact if first else ABSENT,
                second.artifact if second else ABSENT,
            )
            continue
        if first.artifact != second.artifact:
            yield f"input {role}", first.artifact, second.artifact
        if first.weight != second.weight:
            yield f"weight of {role}", str(first.weight), str(second.weight)


def _attestations(one: Attestation, two: Attestation) -> Iterator[tuple[str, str, str]]:
    for name in ("output", "commit", "dirty", "image", "host", "owner"):
        first, second = getattr(one, name), getattr(two, name)
        if first != second:
            yield name, first or ABSENT, second or ABSENT
    yield from _tables("package", one.packages, two.packages)


def _tables(what: str, one: dict[str, str], two: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for key in sorted(one.keys() | two.keys()):
        first, second = one.get(key, ABSENT), two.get(key, ABSENT)
        if first != second:
            yield f"{what}.{key}", first, second


def _by_role(derivation: Derivation) -> dict[str, Input]:
    """Return the inputs by role and name; a second one of the same gets a number."""
    found: dict[str, Input] = {}
    for item in derivation.inputs:
        role = f"{item.role} {item.name}".strip()
        number = sum(1 for known in found if known == role or known.startswith(f"{role} #"))
        found[f"{role} #{number + 1}" if number else role] = item
    return found


def _pairs(one: Derivation, two: Derivation) -> Iterator[tuple[str, Input, Input]]:
    before, after = _by_role(one), _by_role(two)
    for role in before:
        if role in after:
            yield role, before[role], after[role]
