"""A report fits whatever models and graders said: it comes when everything is trained."""

import pytest

from tasks.evaluate.report import MOST_BYTES, Speech, cut, render_report
from tasks.reports.curves import Curve, CurveGroup
from tests.support.report_example import LINEAGE, example_report, example_rollout
from tests.support.scorecard_example import DOMAINS

TURN = Speech(role="tool", content="\u202a" * 4_000)
"""Each character of it takes eight bytes on the page."""


def rollout(domain="math", *, reason="", turns=()):
    made = example_rollout(domain)
    response = made.responses["student"].model_copy(update={"reason": reason, "turns": turns})
    return made.model_copy(update={"responses": {**made.responses, "student": response}})


def page_of(**changes):
    page = render_report(example_report(**changes))
    assert len(page.encode()) <= MOST_BYTES
    return page


def test_a_graders_reasons_of_64_kib_do_not_end_the_report():
    """Finding M6: more than 1 MB of one domain's reasons, control characters among them."""
    rollouts = tuple(rollout(domain, reason="\x1b\u202a" * 32_768) for domain in DOMAINS) * 3
    page = page_of(rollouts=rollouts)
    assert page.count("65,136 more characters") == 12  # of 65,536, 400 are shown
    assert "left out for space" not in page


def test_an_honest_agent_with_many_long_calls_does_not_end_the_report():
    """Fifteen calls of 4,000 characters in each of twelve rollouts."""
    rollouts = tuple(rollout(domain, turns=(TURN,) * 15) for domain in DOMAINS) * 3
    assert "more turns" in page_of(rollouts=rollouts)


def test_many_rollouts_are_left_out_with_a_note():
    rollouts = tuple(rollout(turns=(TURN,) * 40) for _ in range(400))
    page = page_of(rollouts=rollouts)
    assert "397 sample rollouts are left out for space." in page


def test_drawings_that_are_too_large_are_left_out_with_a_note():
    large = LINEAGE.replace("base", "b" * MOST_BYTES)
    page = page_of(lineage=large, rollouts=(rollout(),))
    assert "provost lineage show --html FILE" in page
    assert "<figure" not in page.partition('id="lineage"')[2]
    points = tuple((float(step), 0.123456789) for step in range(200_000))
    curves = (CurveGroup(title="t", unit="u", curves=(Curve(name="c", points=points),)),)
    assert "Scores" in page_of(lineage=large, curves=curves)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("abc", "abc"), ("abcd", "abc\n… 1 more characters")],
)
def test_a_text_is_cut_and_says_by_how_much(text, shown):
    assert cut(text, 3) == shown


def test_the_last_turn_which_was_graded_is_always_shown():
    last = Speech(role="assistant", content="FINAL ANSWER")
    page = page_of(rollouts=(rollout(turns=(*[TURN] * 39, last)),) * 12)
    assert "FINAL ANSWER" in page
