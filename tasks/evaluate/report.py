"""The report: one self-contained HTML page without a script, safe to open and to send.

Its policy forbids everything but inline style and inline images. It refers to nothing outside.
"""

from collections.abc import Mapping

from tasks.evaluate.budget import reductions
from tasks.evaluate.report_input import (
    Provenance,
    ReportInput,
    Response,
    Rollout,
    Speech,
)
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.sections import (
    matrix_section,
    paired_section,
    responses_section,
    scores_section,
)
from tasks.evaluate.wording import findings, headline, label, number, sampling
from tasks.page.curves import NOTE, CurveGroup, curve_group
from tasks.page.document import document, section
from tasks.page.html import Html, element, inline_svg, join

MOST_BYTES = 1_000_000


def render_report(report: ReportInput) -> str:
    """Return the whole page, of at most 1 MB. The same input gives the same text.

    What a model or a grader said is cut until the page fits.

    Raises:
        ValueError: the drawing of the lineage is not safe.
    """
    page = ""
    for smaller in reductions(report):
        page = _render(smaller)
        if len(page.encode()) <= MOST_BYTES:
            break
    return page


def _render(report: ReportInput) -> str:
    card = report.scorecard
    sections = {
        "scores": ("Scores", scores_section(card)),
        "teachers": ("Teachers", matrix_section(card)),
        "differences": ("Differences", paired_section(card)),
        "training": ("Training", _training(report.curves)),
        "lengths": ("Lengths", responses_section(card)),
        "rollouts": ("Rollouts", _rollouts(report.rollouts)),
        "lineage": ("Lineage", _lineage(report.lineage, report.lineage_narrow)),
        "provenance": ("Provenance", _provenance(report.provenance)),
    }
    shown = {name: each for name, each in sections.items() if each[1]}
    links = [
        element("li", {}, element("a", {"href": f"#{name}"}, title))
        for name, (title, _) in shown.items()
    ]
    body = join(
        [
            element("a", {"class": "skip", "href": "#scores"}, "Skip to the scores"),
            _header(report),
            element("nav", {"aria-label": "Sections"}, element("ul", {}, *links)),
            element("main", {}, *(content for _, content in shown.values())),
            element("footer", {}),
        ]
    )
    return document(report.title, body)


def _header(report: ReportInput) -> Html:
    card = report.scorecard
    eyebrow = " · ".join(part for part in ("Provost", report.title, report.created) if part)
    lines = [element("li", {}, line) for line in (*findings(card), *report.left_out)]
    return element(
        "header",
        {},
        element("p", {"class": "eyebrow"}, eyebrow),
        element("h1", {}, headline(card)),
        element("ul", {"class": "findings"}, *lines),
        element("p", {"class": "how"}, _how(card)),
    )


def _how(card: Scorecard) -> str:
    text = f"Measured on {sampling(card)}, at most {card.settings.max_tokens} tokens a turn."
    if card.settings.passed:
        bars = ", ".join(f"{name} {bar:g}" for name, bar in card.settings.passed.items())
        text += f" A response counts as passed from a score of: {bars}."
    return text


def _training(groups: tuple[CurveGroup, ...]) -> Html:
    if not groups:
        return Html()
    return section("training", "Training", NOTE, *map(curve_group, groups))


def _rollouts(rollouts: tuple[Rollout, ...]) -> Html:
    if not rollouts:
        return Html()
    domains = dict.fromkeys(rollout.domain for rollout in rollouts)
    groups = []
    for index, domain in enumerate(domains):
        own = [rollout for rollout in rollouts if rollout.domain == domain]
        opened = {"open": ""} if index == 0 else {}
        count = element("small", {}, f"{len(own)} prompt{'s' * (len(own) > 1)}")
        summary = element("summary", {}, domain, count)
        groups.append(element("details", opened, summary, *map(_rollout, own)))
    note = "The same prompt, answered side by side. Texts are the models' own."
    return section("rollouts", "Sample rollouts", note, *groups)


def _rollout(rollout: Rollout) -> Html:
    answers = [_answer(method, response) for method, response in rollout.responses.items()]
    return element(
        "article",
        {"class": "rollout"},
        *map(_speech, rollout.messages),
        element("div", {"class": "answers"}, *answers),
    )


def _answer(method: str, response: Response) -> Html:
    grade = f"score {number(response.score)} {response.reason}".strip()
    title = element(
        "h4", {}, element("span", {"class": method}, label(method)),
        element("span", {"class": "grade"}, grade),
    )  # fmt: skip
    return element("div", {"class": "answer"}, title, *map(_speech, response.turns))


def _speech(speech: Speech) -> Html:
    role = element("span", {"class": "role"}, speech.role)
    return element("div", {"class": speech.role}, role, element("pre", {}, speech.content))


def _lineage(wide: str, narrow: str) -> Html:
    if not wide:
        return Html()
    drawings = [element("div", {"class": "on-wide" if narrow else "always"}, inline_svg(wide))]
    if narrow:
        drawings.append(element("div", {"class": "on-narrow"}, inline_svg(narrow)))
    attributes = {"class": "lineage", "role": "region", "tabindex": "0", "aria-label": "Lineage"}
    drawing = element("figure", attributes, *drawings)
    return section("lineage", "From base to student", "What the student is made of.", drawing)


def _provenance(provenance: Provenance) -> Html:
    state = " with uncommitted changes" if provenance.dirty else ""
    code = {"commit": f"{provenance.commit}{state}"}
    seeds = {name: str(seed) for name, seed in provenance.seeds.items()}
    groups = [
        _facts("Records", provenance.records, "code"),
        _facts("Code", code, "code"),
        _facts("Seeds", seeds, "span"),
        _facts("Machine", provenance.machine, "span"),
    ]
    missing = [element("li", {}, line) for line in provenance.not_run]
    if missing:
        heading = element("h3", {}, "What was not run")
        groups.append(element("div", {}, heading, element("ul", {"class": "missing"}, *missing)))
    facts = element("div", {"class": "facts"}, *groups)
    return section("provenance", "Provenance", "", facts)


def _facts(title: str, facts: Mapping[str, str], tag: str) -> Html:
    if not facts:
        return Html()
    pairs = (
        join([element("dt", {}, name), element("dd", {}, element(tag, {}, value))])
        for name, value in facts.items()
    )
    return element("div", {}, element("h3", {}, title), element("dl", {}, *pairs))
