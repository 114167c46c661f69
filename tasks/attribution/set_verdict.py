"""The verdict on behaviors of several sets: what each teacher shaped in and outside its domain."""

from collections.abc import Mapping, Sequence

from tasks.attribution.document import AuditVerdict, GroupShare
from tasks.attribution.naming import holders, named
from tasks.attribution.verdict import ask, join, nats
from tasks.attribution.warmed import WARM_UP


def judge_sets(
    groups: Sequence[GroupShare],
    sources: Sequence[str],
    count: int,
    owners: Mapping[str, str],
    warmed_on: Sequence[str] = (),
) -> AuditVerdict:
    """Return the verdict on behaviors of several sets, which one mean would hide.

    Behaviors that a teacher shaped outside its own domain come first, with the teams to ask
    (``owners``). ``warmed_on`` are the teachers that a warm-up before the round trained on.
    """
    off = off_domain(groups, sources, warmed_on)
    own = [
        f"{group.domain} ({_taught_by(group, group.owner)})"
        for group in groups
        if group.owner and named_for(group, sources) == group.owner
    ]
    shared = [(group, held) for group in groups for held in [held_by(group, sources)] if held[1:]]
    several = [group for group, _ in shared]
    unnamed = [g.domain for g in groups if not named_for(g, sources) and g not in several]
    lines = [f"{name} shaped {each.domain} ({_taught_by(each, name)} nats)" for each, name in off]
    teams = ask((source for _, source in off), owners)
    found = (
        [f"Outside its own domain, {'; '.join(lines)}.{teams}"]
        if lines
        else ["No teacher is shown to have shaped another domain."]
    )
    if shared:
        held = [
            f"{group.domain} ({join(f'{name} {_taught_by(group, name)}' for name in names)})"
            for group, names in shared
        ]
        found.append(f"Held alike by several teachers, so none is named: {'; '.join(held)}.")
    if own:
        found.append(f"Each domain's own teacher shaped {join(own)}.")
    if unnamed:
        found.append(f"No teacher is named for {join(unnamed)}.")
    tested = "on single short answers, not on sets" + (
        " and not after a warm-up" if warmed_on else ""
    )
    known = [group for group in groups if group.parts[sources[0]].low is not None]
    return AuditVerdict(
        named="",
        sentence=" ".join(found),
        confidence=(
            f"{count} behaviors in {len(groups)} sets; {len(known)} of the sets are large enough "
            "for an interval. A finding outside a teacher's own domain needs an interval that "
            "excludes 0. Nats are the teacher's mean log-ratio over the start. Names were tested "
            f"{tested}."
        ),
    )


def off_domain(
    groups: Sequence[GroupShare], sources: Sequence[str], warmed_on: Sequence[str] = ()
) -> list[tuple[GroupShare, str]]:
    """Return each set with a named source other than its owner, at 95 % confidence.

    The updates of that source, or a warm-up on its answers, must have pushed toward the set too.
    """
    return [
        (group, who)
        for group in groups
        if group.domain
        for who in [named_for(group, sources)]
        if who
        and who != group.owner
        and _has_pushed(who, group, warmed_on)
        and group.taught.get(who, group.parts[who]).excludes_zero
    ]


def _has_pushed(who: str, group: GroupShare, warmed_on: Sequence[str]) -> bool:
    own = [who, WARM_UP] if who in warmed_on else [who]
    return any(group.parts[source].mean > 0 for source in own)


def named_for(group: GroupShare, sources: Sequence[str]) -> str:
    """Return the source that is named for a set as a whole."""
    return named(*_means(group, sources))


def held_by(group: GroupShare, sources: Sequence[str]) -> tuple[str, ...]:
    """Return the teachers that hold a set as a whole."""
    return holders(*_means(group, sources))


def _means(
    group: GroupShare, sources: Sequence[str]
) -> tuple[Mapping[str, float], Mapping[str, float], float]:
    # A warm-up cannot be named for a set: it is one amount for all of its teachers.
    parts = {source: group.parts[source].mean for source in sources if source != WARM_UP}
    taught = {teacher: share.mean for teacher, share in group.taught.items()}
    return parts, taught, group.end - group.start


def _taught_by(group: GroupShare, source: str) -> str:
    return nats(group.taught.get(source, group.parts[source]).mean)
