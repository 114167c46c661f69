"""The audit as one self-contained HTML page without a script: ``audit.html.j2`` and its values."""

import itertools
import shlex
from dataclasses import dataclass

from tasks.attribution.document import Audit, BehaviorShare, SegmentShare, TokenShare
from tasks.attribution.estimators import FIRST_ORDER
from tasks.attribution.naming import LEAST_LOG_RATIO, reliability
from tasks.attribution.page_shares import (
    absence,
    bars,
    colors,
    crossings,
    domain_groups,
    source_names,
    ways,
    weight_rows,
)
from tasks.attribution.path_integral import spread
from tasks.attribution.verdict import join as listed
from tasks.attribution.verdict import nats
from tasks.attribution.warmed import WARM_UP
from tasks.ledger.split_adamw import RESERVED
from tasks.reports.rendering import render as render_template

MOST_SHOWN = 12
"""Maximum number of behaviors on the page, equally many per domain; the document has all."""
MOST_CHARACTERS = 2_000
STRONG_NATS = 3.0
"""Nats by which a source must move a token for the strongest color."""


@dataclass(frozen=True)
class ShownToken:
    """A token with the class of its largest source and how strong that is, from 0 to 1."""

    kind: str
    strength: float
    title: str
    text: str


@dataclass(frozen=True)
class ShownBehavior:
    """A behavior as shown on the page."""

    name: str
    title: str
    about: str
    prompt: str
    contrast: str | None
    tokens: list[ShownToken]
    rows: list[list[str]]
    """Rows of the table: token, nats before and now, and each source's contribution."""


@dataclass(frozen=True)
class CourseView:
    """The curves of each source's share over training, in a box of 100 by 100."""

    low: str
    high: str
    zero: float
    last: int
    lines: dict[str, str]
    rows: list[list[str]]


def behaviors(audit: Audit) -> list[ShownBehavior]:
    """Return the first behaviors with their tokens colored by source."""
    known = [item for item in audit.behaviors if item.tokens]
    chosen = spread([item.domain for item in known], MOST_SHOWN)
    return [_behavior(audit, known[place]) for place in chosen]


def _behavior(audit: Audit, item: BehaviorShare) -> ShownBehavior:
    name = item.name or item.response.strip() or "behavior"
    named = listed(item.holders) if item.holders else item.named or "no teacher"
    kinds, sources = colors(audit), source_names(audit)
    return ShownBehavior(
        name=name,
        title=_cut(name, 60),
        about=f"{named}, {nats(item.end)} nats",
        prompt=_cut(item.prompt),
        contrast=None if item.contrast is None else _cut(item.contrast),
        tokens=[_token(kinds, each) for each in item.tokens],
        rows=[
            [
                repr(each.text)[1:-1] or " ",
                nats(each.start),
                nats(each.end),
                *(nats(each.parts[source]) for source in sources),
            ]
            for each in item.tokens
        ],
    )


def _token(kinds: dict[str, str], token: TokenShare) -> ShownToken:
    parts = {source: value for source, value in token.parts.items() if source not in RESERVED}
    most = max(parts, key=lambda source: abs(parts[source]))
    return ShownToken(
        kind=kinds.get(most, "unnamed") + (" against" if parts[most] < 0 else ""),
        strength=min(1.0, abs(parts[most]) / STRONG_NATS),
        title=f"{most} {nats(parts[most])} of {nats(token.end - token.start)} nats",
        # An end token decodes to a name that is not in any text; a line's end is shown as one.
        text=token.text.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n"),
    )


def course(audit: Audit) -> CourseView:
    """Return the curves of each source's share over training."""
    sources = source_names(audit)
    sums = {
        source: [0.0, *itertools.accumulate(stretch.parts[source] for stretch in audit.course)]
        for source in sources
    }
    values = [value for line in sums.values() for value in line]
    low, high = min(values), max(values)
    last = audit.course[-1].last_step
    steps = [0, *(stretch.last_step for stretch in audit.course)]

    def y(value: float) -> float:
        return 100 - 100 * (value - low) / ((high - low) or 1.0)

    return CourseView(
        low=nats(low),
        high=nats(high),
        zero=y(0.0),
        last=last,
        lines={
            source: " ".join(
                f"{100 * step / last:.2f},{y(value):.2f}"
                for step, value in zip(steps, line, strict=True)
            )
            for source, line in sums.items()
        },
        rows=[
            [
                _stretch(stretch),
                *(nats(stretch.parts[source]) for source in sources),
            ]
            for stretch in audit.course
        ],
    )


def _stretch(stretch: SegmentShare) -> str:
    if stretch.first_step <= stretch.last_step:
        return f"{stretch.first_step} to {stretch.last_step}"
    return WARM_UP if stretch.last_step == 0 else "saving"


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}\N{HORIZONTAL ELLIPSIS}"


def render(audit: Audit) -> str:
    """Return the page. The same audit gives the same text."""
    shown = behaviors(audit)
    return render_template(
        "audit.html.j2",
        title=f"Audit of {audit.student}",
        audit=audit,
        sections=_sections(audit),
        sources=source_names(audit),
        colors=colors(audit),
        bars=bars(audit),
        behaviors=shown,
        num_hidden=audit.count - len(shown),
        course=course(audit),
        groups=domain_groups(audit),
        crossings=crossings(audit),
        least_log_ratio=LEAST_LOG_RATIO,
        weights=[] if audit.weights is None else weight_rows(audit.weights),
        ways=ways(audit),
        first_order=FIRST_ORDER,
        guess=f"{reliability().rank_correlation.first_order:.2f}",
        retrain=f"{reliability().rank_correlation.retrain:.2f}",
        absence=None if audit.verification is None else absence(audit, audit.verification),
        recorded=[
            (source, shlex.join(["provost", "lineage", "show", source.record]))
            for source in audit.sources
            if source.record
        ],
        begun=nats(audit.begun),
        ended=nats(audit.ended),
    )


def _sections(audit: Audit) -> list[tuple[str, str]]:
    """Return name and title of each section on the page, in order."""
    sections = {
        "sources": "Sources",
        "responses": "Tokens",
        "course": "Training",
        "domains": "Domains" if any(group.domain for group in audit.groups) else "",
        "weights": "" if audit.weights is None else "Weights",
        "ways": "Other estimates",
        "absence": "" if audit.verification is None else "Absence",
        "rollouts": "Rollouts",
        "ask": "Teams to contact",
        "carried": "Approvals",
        "limits": "Not tested",
        "inputs": "Inputs",
    }
    if len(audit.groups) > 1:  # then what crossed a domain is what the verdict is about
        sections = {"domains": sections["domains"], **sections}
    return [(name, title) for name, title in sections.items() if title]
