"""The page's view of responses, token by token, and of the course over training."""

import itertools

from tasks.attribution.document import Audit, BehaviourShare, TokenShare
from tasks.attribution.page_shares import colour, key, plain, scroll
from tasks.attribution.split import spread
from tasks.attribution.verdict import join as listed
from tasks.attribution.verdict import nats
from tasks.ledger.split_adamw import RESERVED
from tasks.page.document import section
from tasks.page.html import Html, element, join

MOST_SHOWN = 12
"""Behaviours on the page, as many of each domain; the document has all."""
MOST_CHARACTERS = 2_000
STRONG_NATS = 3.0
"""A token that one source moved by so much has the strongest ground."""


def responses_section(audit: Audit) -> Html:
    """Return the first behaviours with their tokens coloured by source."""
    shown = [_behaviour(audit, item, place) for place, item in enumerate(_shown(audit))]
    more = audit.count - len(shown)
    note = (
        "Each token has the colour of the source that moved it most, the stronger the more; "
        "dotted where that source pushed against it."
    )
    if more:
        note += f" {more} more behaviours stand in audit.json."
    return section("responses", "Token by token", note, key(audit), *shown)


def _shown(audit: Audit) -> list[BehaviourShare]:
    known = [item for item in audit.behaviours if item.tokens]
    return [known[place] for place in spread([item.domain for item in known], MOST_SHOWN)]


def _behaviour(audit: Audit, item: BehaviourShare, place: int) -> Html:
    title = item.name or item.response.strip() or "behaviour"
    named = listed(item.holders) if item.holders else item.named or "nobody"
    summary = element(
        "summary", {}, _cut(title, 60), element("small", {}, f"{named}, {nats(item.end)} nats")
    )
    spoken = [element("span", {"class": "role"}, "prompt"), element("pre", {}, _cut(item.prompt))]
    if item.contrast is not None:
        spoken += [
            element("span", {"class": "role"}, "rather than"),
            element("pre", {}, _cut(item.contrast)),
        ]
    spoken.append(element("span", {"class": "role"}, "response"))
    tokens = element("p", {"class": "tokens"}, *(_token(audit, each) for each in item.tokens))
    sources = [source for source in audit.shares if source not in RESERVED]
    rows = [
        [
            repr(each.text)[1:-1] or " ",
            nats(each.start),
            nats(each.end),
            *(nats(each.parts[source]) for source in sources),
        ]
        for each in item.tokens
    ]
    table = scroll(f"tokens of {title}", plain(["token", "before", "now", *sources], rows))
    numbers = element("details", {}, element("summary", {}, "in numbers, nats"), table)
    opened = {"open": ""} if place == 0 else {}
    question = element("div", {"class": "question"}, *spoken, tokens, numbers)
    return element("details", opened, summary, question)


def _token(audit: Audit, token: TokenShare) -> Html:
    parts = {source: value for source, value in token.parts.items() if source not in RESERVED}
    most = max(parts, key=lambda source: abs(parts[source]))
    kind = colour(audit, most) + (" against" if parts[most] < 0 else "")
    strength = min(1.0, abs(parts[most]) / STRONG_NATS)
    title = f"{most} {nats(parts[most])} of {nats(token.end - token.start)} nats"
    # An end token decodes to a name that stands in no text; a line's end is shown as one.
    text = token.text.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}\n")
    attributes = {"class": kind, "style": f"--value:{strength:.2f}", "title": title}
    return element("span", attributes, text)


def course_section(audit: Audit) -> Html:
    """Return how each source's share grew over training."""
    sources = [source for source in audit.shares if source not in RESERVED]
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

    lines = [
        element(
            "polyline",
            {
                "class": colour(audit, source),
                "points": " ".join(
                    f"{100 * step / last:.2f},{y(value):.2f}"
                    for step, value in zip(steps, sums[source], strict=True)
                ),
            },
        )
        for source in sources
    ]
    zero = element("line", {"class": "zero", "x1": 0, "x2": 100, "y1": y(0.0), "y2": y(0.0)})
    box = {"viewBox": "0 0 100 100", "preserveAspectRatio": "none", "aria-hidden": "true"}
    ends = [element("span", {}, nats(value)) for value in (high, low)]
    marks = [element("span", {}, f"step {steps[0]}"), element("span", {}, f"{last}")]
    plot = element(
        "div",
        {"class": "plot"},
        element("div", {"class": "ends"}, *ends),
        element("svg", box, zero, join(lines)),
        element("div", {"class": "steps"}, *marks),
    )
    rows = [
        [f"{stretch.first_step} to {stretch.last_step}", *(nats(stretch.parts[s]) for s in sources)]
        for stretch in audit.course
    ]
    table = scroll("course in numbers", plain(["steps", *sources], rows))
    numbers = element("details", {}, element("summary", {}, "each stretch in numbers, nats"), table)
    note = "Nats that each source had added by a step, as a mean over behaviours."
    figure = element("figure", {"class": "course", "style": "margin:0"}, plot)
    return section("course", "Over training", note, key(audit), figure, numbers)


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}\N{HORIZONTAL ELLIPSIS}"
