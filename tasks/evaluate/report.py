"""The report: one self-contained HTML page without a script, safe to open and to send.

Its policy forbids everything but inline style and inline images. It refers to nothing outside.
"""

from tasks.evaluate.budget import reductions
from tasks.evaluate.report_input import ReportInput, SampleRollout
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.sections import (
    difference_panels,
    length_rows,
    matrix_rows,
    score_panels,
)
from tasks.evaluate.wording import findings, headline, label, number, sampling
from tasks.reports.curves import NOTE
from tasks.reports.drawing import inline_svg
from tasks.reports.rendering import render

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
    return render(
        "scorecard.html.j2",
        title=report.title,
        eyebrow=" · ".join(part for part in ("Provost", report.title, report.created) if part),
        headline=headline(card),
        findings=(*findings(card), *report.left_out),
        how=_how(card),
        sections=_sections(report),
        score_panels=score_panels(card),
        domains=list(card.domains),
        matrix=matrix_rows(card),
        difference_panels=difference_panels(card),
        curves_note=NOTE,
        lengths=length_rows(card),
        max_tokens=card.settings.max_tokens,
        rollouts_by_domain=_by_domain(report.rollouts),
        wide=inline_svg(report.lineage) if report.lineage else "",
        narrow=inline_svg(report.lineage_narrow) if report.lineage_narrow else "",
        report=report,
        label=label,
        number=number,
    )


def _sections(report: ReportInput) -> list[tuple[str, str]]:
    """Return name and title of each section on the page."""
    sections = {
        "scores": "Scores",
        "teachers": "Teachers",
        "differences": "Differences",
        "training": "Training" if report.curves else "",
        "lengths": "Lengths",
        "rollouts": "Rollouts" if report.rollouts else "",
        "lineage": "Lineage" if report.lineage else "",
        "provenance": "Provenance",
    }
    return [(name, title) for name, title in sections.items() if title]


def _by_domain(rollouts: tuple[SampleRollout, ...]) -> dict[str, list[SampleRollout]]:
    found: dict[str, list[SampleRollout]] = {}
    for rollout in rollouts:
        found.setdefault(rollout.domain, []).append(rollout)
    return found


def _how(card: Scorecard) -> str:
    text = f"Measured on {sampling(card)}, at most {card.settings.max_tokens} tokens a turn."
    if card.settings.passed:
        bars = ", ".join(f"{name} {bar:g}" for name, bar in card.settings.passed.items())
        text += f" A response counts as passed from a score of: {bars}."
    return text
