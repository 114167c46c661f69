"""The shares on the audit's page: by source, probe set, other estimators, and retrain."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.attribution.document import (
    Audit,
    AuditVerdict,
    GroupShare,
    RetrainEffect,
    RetrainResult,
    ShareEstimate,
    WeightsChange,
)
from tasks.attribution.estimators import LOG_RATIO
from tasks.attribution.naming import LEAST_NATS
from tasks.attribution.set_verdict import held_by, off_domain
from tasks.attribution.verdict import join as listed
from tasks.attribution.verdict import nats
from tasks.attribution.warmed import WARM_UP
from tasks.ledger.split_adamw import RESERVED, ROUNDING, SAVING

NOTHING = "\N{EM DASH}"
NUM_COLORS = 8
"""Number of colors; more sources reuse them in turn, and every mark has its name too."""


@dataclass(frozen=True)
class Bar:
    """A share as a bar from 0, with its interval as a whisker; positions are percentages."""

    kind: str
    name: str
    about: str
    mean: str
    span: str
    zero: str
    left: str
    width: str
    whisker: tuple[str, str] | None


@dataclass(frozen=True)
class ShareCell:
    """One source's contribution to one set; the color is as strong as the share."""

    kind: str
    value: float
    mean: str
    span: str


@dataclass(frozen=True)
class DomainGroup:
    """One set of behaviors with the shares of all sources."""

    domain: str
    count: int
    cells: list[ShareCell]


@dataclass(frozen=True)
class AbsenceTable:
    """The measurements of retrains, as shown on the page."""

    seeds: str
    floor: str
    rows: list[list[str]]
    domains: list[str]
    by_domain: list[list[str]]


def source_names(audit: Audit) -> list[str]:
    """Return the sources that can answer for a share: teachers and the outcome."""
    return [source for source in audit.shares if source not in RESERVED]


def weight_rows(weights: WeightsChange) -> list[list[str]]:
    """Return the parts of the weights' change: name, norm relative to the change, and notes."""
    notes = {
        ROUNDING: f"fp32 updates; {weights.predicted_rounding:.2g} is predicted",
        SAVING: "the student was saved in bf16",
    }
    return [
        *([part, f"{share:.3g}", notes.get(part, "")] for part, share in weights.parts.items()),
        ["unexplained", f"{weights.unexplained:.1g}", ""],
    ]


def colors(audit: Audit) -> dict[str, str]:
    """Return the CSS class of each source's color."""
    places = list(audit.shares)
    return {name: f"s{places.index(name) % NUM_COLORS}" for name in source_names(audit)}


def bars(audit: Audit) -> list[Bar]:
    """Return the bars: before the round, each source, and the student."""
    ends = [audit.begun, audit.ended, 0.0]
    for share in audit.shares.values():
        ends += [share.mean, share.low or 0.0, share.high or 0.0]
    low, high = min(ends), max(ends)
    kinds = colors(audit)
    rows = [_bar("start", audit.start, _before(audit), ShareEstimate(mean=audit.begun), low, high)]
    for source in audit.sources:
        about = ", ".join(part for part in (source.reference, source.owner) if part)
        if source.name == WARM_UP:
            about = f"SFT on answers of {listed(audit.warmed_on)}"
        kind, share = kinds.get(source.name, "unnamed"), audit.shares[source.name]
        rows.append(_bar(kind, source.name, about, share, low, high))
    end = _bar(
        "total", "the student", ("log-probability now"), ShareEstimate(mean=audit.ended), low, high
    )
    return [*rows, end]


def _before(audit: Audit) -> str:
    return "before the warm-up" if audit.warmed_on else "before the round"


def _bar(kind: str, name: str, about: str, share: ShareEstimate, low: float, high: float) -> Bar:
    def place(value: float) -> float:
        return 100 * (value - low) / ((high - low) or 1.0)

    zero, end = place(0.0), place(share.mean)
    whisker = None
    if share.low is not None and share.high is not None:
        whisker = (f"{place(share.low):.2f}%", f"{place(share.high):.2f}%")
    return Bar(
        kind=kind,
        name=name,
        about=about,
        mean=nats(share.mean),
        span=_span(share),
        zero=f"{zero:.2f}%",
        left=f"{min(zero, end):.2f}%",
        width=f"{abs(end - zero):.2f}%",
        whisker=whisker,
    )


def _span(share: ShareEstimate) -> str:
    if share.low is None or share.high is None:
        return ""
    return f"{nats(share.low)} to {nats(share.high)}"


def domain_groups(audit: Audit) -> list[DomainGroup]:
    """Return the shares by probe set and source, with shares off a teacher's own domain marked."""
    groups = [group for group in audit.groups if group.domain]
    sources = source_names(audit)
    off = off_domain(groups, sources, audit.warmed_on)
    return [
        DomainGroup(
            domain=group.domain,
            count=group.count,
            cells=[_cell(group, source, is_off=(group, source) in off) for source in sources],
        )
        for group in groups
    ]


def crossings(audit: Audit) -> list[str]:
    """Return a sentence for each share off its own domain and each set with several holders."""
    groups = [group for group in audit.groups if group.domain]
    sources = source_names(audit)
    found = [_crossing(*each) for each in off_domain(groups, sources, audit.warmed_on)]
    return found + [
        f"{group.domain}: {listed(held)} hold it alike, so none is named."
        for group in groups
        for held in [held_by(group, sources)]
        if len(held) > 1
    ]


def _crossing(group: GroupShare, source: str) -> str:
    owner = f"{group.owner} was trained on" if group.owner else "no teacher was trained on"
    finds = nats(group.taught.get(source, group.parts[source]).mean)
    return (
        f"{group.domain}: {source} finds these {group.count} behaviors, which {owner}, {finds} "
        f"nats more likely than the start did, and added {nats(group.parts[source].mean)}."
    )


def _cell(group: GroupShare, source: str, *, is_off: bool) -> ShareCell:
    share = group.parts[source]
    most = max(abs(each.mean) for each in group.parts.values()) or 1.0
    kind = "own" if source == group.owner else "off" if is_off else "other"
    return ShareCell(kind, max(0.0, share.mean) / most, nats(share.mean), _span(share))


def ways(audit: Audit) -> list[list[str]]:
    """Return the other estimates, one per row."""
    sources = source_names(audit)
    shares = {source: audit.shares[source].mean for source in sources}
    most = max(shares, key=lambda source: shares[source])
    taught = {name: _mean_of(audit, name) for name in audit.behaviors[0].taught}
    own = most if shares[most] >= LEAST_NATS else "no teacher"
    rows = [
        _way(LOG_RATIO, taught, _who(audit.verdict), "nats", sources),
        _way("path integral (above)", shares, own, "nats", sources),
    ]
    return rows + [
        _way(each.name, each.parts, each.named or "no teacher", each.unit, sources)
        for each in audit.witnesses
    ]


def _who(verdict: AuditVerdict) -> str:
    return listed(verdict.holders) if verdict.holders else verdict.named or "no teacher"


def _mean_of(audit: Audit, teacher: str) -> float:
    return statistics.fmean(item.taught[teacher] for item in audit.behaviors)


def _way(
    name: str, parts: Mapping[str, float], named: str, unit: str, sources: list[str]
) -> list[str]:
    values = [nats(parts[source]) if source in parts else NOTHING for source in sources]
    return [name, *values, named, unit]


def absence(audit: Audit, found: RetrainResult) -> AbsenceTable:
    """Return the measured absences, beside allocation and surgery."""
    domains = list(found.effects[0].by_domain) if found.effects else []
    return AbsenceTable(
        seeds=", ".join(map(str, found.seeds)),
        floor="one seed shows none" if found.noise is None else f"{found.noise:.2g} nats",
        rows=[_measured_row(each, audit) for each in found.effects],
        domains=domains,
        by_domain=[
            [", ".join(each.masked), *(nats(each.by_domain[name]) for name in domains)]
            for each in found.effects
        ],
    )


def _measured_row(each: RetrainEffect, audit: Audit) -> list[str]:
    span = _span(each.effect)
    return [
        ", ".join(each.masked),
        nats(each.effect.mean) + (f" ({span})" if span else ""),
        " ".join(nats(value) for value in each.per_seed.values()),
        NOTHING if each.surgery is None else nats(each.surgery),
        nats(sum(audit.shares[name].mean for name in each.masked if name in audit.shares)),
    ]
