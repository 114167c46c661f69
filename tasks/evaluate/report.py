"""The report of a consolidation: its content, cut to a budget, rendered as one page.

A report comes last, after all training, so the text of a grader or a model must not make it fail.
The page is self-contained.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, model_validator

from lineage.frozen import Frozen
from tasks.contracts.refusal import RefusedError
from tasks.evaluate.cost import StageCost
from tasks.evaluate.scorecard import Scorecard
from tasks.evaluate.scores import STUDENT
from tasks.evaluate.sections import (
    Making,
    cost_rows,
    difference_panels,
    length_rows,
    matrix_rows,
    score_panels,
)
from tasks.evaluate.wording import findings, headline, label, number, sampling
from tasks.reports.curves import NOTE, CurveGroup
from tasks.reports.rendering import inline_svg, render


class Speech(Frozen):
    """One message or turn: role and content."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class SampleResponse(Frozen):
    """One method's response, with its grade."""

    turns: tuple[Speech, ...]
    score: float = Field(ge=0, le=1)
    reason: str = ""
    """The grader's reason for a grade below 1."""


class SampleRollout(Frozen):
    """One prompt with the responses of several methods."""

    domain: str
    messages: tuple[Speech, ...]
    """Messages of the prompt."""
    responses: Mapping[str, SampleResponse]
    """method -> response, in the order in which to show them."""


class Provenance(Frozen):
    """The origin of the numbers, so that others can reproduce them."""

    records: Mapping[str, str]
    """Digest of each record by name, such as "student" -> "sha256:..."."""
    commit: str
    dirty: bool = False
    """Whether the code differed from the commit."""
    seeds: Mapping[str, int]
    machine: Mapping[str, str]
    """Facts such as the processor, the number of cores, package versions, wall-clock time."""
    not_run: tuple[str, ...] = ()
    """Components that were not run, each with its reason."""


class ReportInput(Frozen):
    """Everything on the page. The same input gives the same bytes."""

    title: str = "Consolidation report"
    created: str = ""
    """End of the consolidation, for display only."""
    scorecard: Scorecard
    curves: tuple[CurveGroup, ...] = ()
    rollouts: tuple[SampleRollout, ...] = ()
    lineage: str = ""
    """An SVG from base to student; empty leaves the section out."""
    lineage_narrow: str = ""
    """The same for a screen of 390 pixels; empty shrinks the wide one."""
    provenance: Provenance
    costs: Mapping[str, StageCost] = Field(default_factory=dict)
    """method -> what it took after the teachers existed; empty leaves the section out."""
    making: Making | None = None
    """How the student was made; None leaves the section out."""
    left_out: tuple[str, ...] = ()
    """Sentences about measured content that is not on the page."""

    @model_validator(mode="after")
    def _check(self) -> "ReportInput":
        if STUDENT not in self.scorecard.methods():
            raise RefusedError(
                "no-student", "the scorecard has no student: a report is about a consolidation"
            )
        return self


MOST_REASON = 400
"""Maximum characters of a grader's reason, which is on one line beside the score."""
_STEPS = ((4_000, 40, 3), (1_000, 12, 3), (300, 6, 3), (300, 6, 1), (100, 2, 1))
"""Limits in each step: characters of a text, turns of a response, prompts of a domain."""


def reductions(report: ReportInput) -> Iterator[ReportInput]:
    """Yield ever smaller versions of the report; the last has neither rollouts nor drawings."""
    for characters, turns, prompts in _STEPS:
        rollouts = _some(report.rollouts, prompts)
        shorter = tuple(_cut_rollout(rollout, characters, turns) for rollout in rollouts)
        left_out: tuple[str, ...] = ()
        if len(shorter) < len(report.rollouts):
            left_out = (
                f"{len(report.rollouts) - len(shorter)} sample rollouts are left out for space.",
            )
        yield report.model_copy(update={"rollouts": shorter, "left_out": left_out})
    left_out = ("The sample rollouts are left out for space.",)
    bare = report.model_copy(update={"rollouts": (), "left_out": left_out})
    yield bare
    drawing = (
        "The drawing of the lineage is left out too: provost lineage show --html FILE draws it."
    )
    left_out = (*left_out, drawing)
    bare = bare.model_copy(update={"lineage": "", "lineage_narrow": "", "left_out": left_out})
    yield bare
    yield bare.model_copy(
        update={"curves": (), "left_out": (*left_out, ("The curves are left out too."))}
    )


def cut(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, with the number of removed ones."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n… {len(text) - most:,} more characters"


def _some(rollouts: tuple[SampleRollout, ...], most: int) -> list[SampleRollout]:
    """Return the first rollouts of each domain."""
    kept: dict[str, list[SampleRollout]] = {}
    for rollout in rollouts:
        own = kept.setdefault(rollout.domain, [])
        if len(own) < most:
            own.append(rollout)
    return [rollout for own in kept.values() for rollout in own]


def _cut_rollout(rollout: SampleRollout, characters: int, turns: int) -> SampleRollout:
    return SampleRollout(
        domain=rollout.domain,
        messages=_cut_speeches(rollout.messages, characters, turns),
        responses={
            method: SampleResponse(
                turns=_cut_speeches(response.turns, characters, turns),
                score=response.score,
                reason=cut(response.reason, min(characters, MOST_REASON)),
            )
            for method, response in rollout.responses.items()
        },
    )


def _cut_speeches(speeches: tuple[Speech, ...], characters: int, turns: int) -> tuple[Speech, ...]:
    """Return the first turns, and the last one, which was graded."""
    kept = speeches
    if len(speeches) > turns:
        left = f"… {len(speeches) - turns} more turns"
        kept = (*speeches[: turns - 1], Speech(role="system", content=left), speeches[-1])
    return tuple(
        speech.model_copy(update={"content": cut(speech.content, characters)}) for speech in kept
    )


MOST_BYTES = 1_000_000


def render_report(report: ReportInput) -> str:
    """Return the whole page, of at most 1 MB. The same input gives the same text.

    Texts of models and graders are shortened until the page fits.

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
        costs=cost_rows(card, report.costs),
        rollouts_by_domain=_by_domain(report.rollouts),
        wide=inline_svg(report.lineage) if report.lineage else "",
        narrow=inline_svg(report.lineage_narrow) if report.lineage_narrow else "",
        making_rows=_making_rows(report.making),
        report=report,
        label=label,
        number=number,
    )


def _making_rows(making: Making | None) -> list[tuple[str, ...]]:
    return [
        (
            row.reference,
            row.domain,
            row.owner,
            f"{row.tokens:,}",
            f"{row.share:.0%}",
            row.verdict,
        )
        for row in (making.teachers if making else ())
    ]


def _sections(report: ReportInput) -> list[tuple[str, str]]:
    """Return name and title of each section on the page."""
    sections = {
        "scores": "Scores",
        "teachers": "Teachers",
        "differences": "Differences",
        "training": "Training" if report.curves else "",
        "costs": "Cost" if report.costs else "",
        "lengths": "Lengths",
        "rollouts": "Rollouts" if report.rollouts else "",
        "lineage": "Lineage" if report.lineage else "",
        "making": "Making" if report.making else "",
        "provenance": "Provenance",
    }
    return [(name, title) for name, title in sections.items() if title]


def _by_domain(rollouts: tuple[SampleRollout, ...]) -> dict[str, list[SampleRollout]]:
    found: dict[str, list[SampleRollout]] = {}
    for rollout in rollouts:
        found.setdefault(rollout.domain, []).append(rollout)
    return found


def _how(card: Scorecard) -> str:
    text = f"Measured on {sampling(card)}, at most {card.settings.max_tokens} tokens per turn."
    if card.settings.passed:
        bars = ", ".join(f"{name} {bar:g}" for name, bar in card.settings.passed.items())
        text += f" A response counts as passed from a score of: {bars}."
    return text
