"""The audit as one self-contained HTML page without a script."""

import shlex

from tasks.attribution.document import Audit, Influence
from tasks.attribution.page_shares import (
    counterfactual_section,
    groups_section,
    plain,
    scroll,
    sources_section,
    witnesses_section,
)
from tasks.attribution.page_style import STYLE
from tasks.attribution.page_tokens import course_section, responses_section
from tasks.attribution.verdict import nats
from tasks.page.document import document, section
from tasks.page.html import Html, element, join


def render(audit: Audit) -> str:
    """Return the whole page. The same audit gives the same text."""
    sections = {
        "sources": ("Sources", sources_section(audit)),
        "responses": ("Tokens", responses_section(audit)),
        "course": ("Training", course_section(audit)),
        "domains": ("Domains", groups_section(audit)),
        "ways": ("Other ways", witnesses_section(audit)),
        "absence": ("Absence", counterfactual_section(audit)),
        "rollouts": ("Rollouts", _rollouts(audit)),
        "ask": ("Whom to ask", _ask(audit)),
        "carried": ("Approvals", _carried(audit)),
        "limits": ("Not tested", _limits(audit)),
        "inputs": ("Inputs", _inputs(audit)),
    }
    if len(audit.groups) > 1:  # then what crossed a domain is what the verdict is about
        sections = {"domains": sections["domains"], **sections}
    shown = {name: each for name, each in sections.items() if each[1]}
    links = [
        element("li", {}, element("a", {"href": f"#{name}"}, title))
        for name, (title, _) in shown.items()
    ]
    body = join(
        [
            element(
                "a", {"class": "skip", "href": f"#{next(iter(shown))}"}, "Skip to the findings"
            ),
            _header(audit),
            element("nav", {"aria-label": "Sections"}, element("ul", {}, *links)),
            element("main", {}, *(content for _, content in shown.values())),
            element("footer", {}),
        ]
    )
    return document(f"Audit of {audit.student}", body, STYLE)


def _header(audit: Audit) -> Html:
    eyebrow = f"Provost · Audit of {audit.student} · {audit.created}"
    approximate = [element("p", {"class": "how"}, audit.approximate)] if audit.approximate else []
    return element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, eyebrow),
        element("h1", {}, audit.verdict.sentence),
        element("p", {"class": "how"}, f"How sure: {audit.verdict.confidence}"),
        *approximate,
    )


def _rollouts(audit: Audit) -> Html:
    note = (
        "Of the ledger's sample, those whose update pushed most towards the behaviours, by first "
        f"order and without Adam's scaling. Searched: {audit.searched}."
    )
    return section(
        "rollouts", "Training rollouts that pushed most", note, *map(_one, audit.influences)
    )


def _one(item: Influence) -> Html:
    about = f"{item.teacher}, step {item.step}, score {item.score:g}, pushed {item.influence:.3g}"
    summary = element("summary", {}, item.prompt, element("small", {}, about))
    spoken = [
        element("span", {"class": "role"}, "asked"),
        element("pre", {}, item.asked),
        element("span", {"class": "role"}, "the student answered"),
        element("pre", {}, item.answered),
    ]
    return element("details", {}, summary, element("div", {"class": "question"}, *spoken))


def _ask(audit: Audit) -> Html:
    teachers = [source for source in audit.sources if source.record]
    rows = [
        [
            source.name,
            source.owner or "not published: its record says who ran it",
            source.reference,
            element("code", {}, shlex.join(["provost", "lineage", "show", source.record])),
        ]
        for source in teachers
    ]
    table = scroll("whom to ask", plain(["teacher", "ask", "release", "its record"], rows))
    return section("ask", "Whom to ask", "The teams behind the sources.", table)


def _carried(audit: Audit) -> Html:
    notes = [element("li", {}, line) for line in audit.approvals]
    signed = [
        join([element("p", {}, element("code", {}, each.digest)), element("pre", {}, each.text)])
        for each in audit.waivers
    ]
    listed = element("ul", {}, *notes) if notes else element("p", {}, "The check noted nothing.")
    waived = signed or [element("p", {}, "The student carries no waiver.")]
    note = (
        "Who approved, what the checks let pass when the student was planned, what people waived."
    )
    return section("carried", "Approvals and waivers", note, listed, *waived)


def _limits(audit: Audit) -> Html:
    lines = [element("li", {}, line) for line in audit.not_tested]
    return section("limits", "What was not tested", "", element("ul", {}, *lines))


def _inputs(audit: Audit) -> Html:
    rows = [[role, element("code", {}, digest)] for role, digest in audit.inputs.items()]
    note = (
        "The audit is a record of its own that names these by digest: `provost lineage verify` "
        "hashes them all, and checks the signature where a team signed it."
    )
    span = f"{nats(audit.begun)} before, {nats(audit.ended)} now"
    several = f"{audit.count} behaviours; mean" if audit.count > 1 else "1 behaviour;"
    counted = element("p", {}, f"{several} {span}.")
    return section(
        "inputs", "Inputs", note, counted, scroll("inputs", plain(["what", "digest"], rows))
    )
