"""A change counted from before a warm-up: the warm-up is its first part, the rest is the round."""

import dataclasses

import pytest
import torch

from tasks.attribution.page import course as drawn_course
from tasks.attribution.page import render
from tasks.attribution.page_shares import bars, crossings
from tasks.attribution.path_integral import Batch, Split, allocate
from tasks.attribution.set_verdict import judge_sets, off_domain
from tasks.attribution.verdict import Case, judge
from tasks.attribution.warmed import WARM_UP, with_warm_up
from tests.support.audits import example_audit, group
from tests.support.courses import behavior, course, direction, encoded, scorer, weights

BATCH = encoded(behavior(), behavior("owl", "fox", contrast="owl fox"))
ORIGIN = {name: tensor + 0.05 for name, tensor in weights().items()}
WARMED = Case(
    count=1,
    begun=-9.0,
    ended=-1.0,
    parts={WARM_UP: 8.5, "math": -0.75, "code": 0.25},
    taught={"math": 8.75, "code": 0.5},
    num_tokens=2.0,
    sure=None,
    owners={"math": "team-math"},
    start="the fork point",
    warmed_on=("math", "code"),
)


@pytest.fixture(scope="module")
def splits():
    """The split of a round, and the same counted from before a warm-up."""
    segments = [{"math": direction(1, 0.4)}, {"math": direction(3, 0.7)}]
    scored = scorer(BATCH)
    round_ = Split((Batch(BATCH, scored),), (allocate(scored, BATCH, course(*segments)),))
    return round_, with_warm_up(round_, ORIGIN)


def test_the_warm_up_is_the_change_from_its_start_to_that_of_the_round(splits):
    round_, warmed = splits
    assert warmed.parts == [WARM_UP, "math"]
    before = BATCH.total(scorer(BATCH).log_probs(ORIGIN))
    torch.testing.assert_close(warmed.begun(), before)
    torch.testing.assert_close(warmed.table()[0], round_.begun() - before)
    assert torch.equal(warmed.ended(), round_.ended())


def test_the_parts_of_the_round_stay_as_they_were_and_all_add_up(splits):
    round_, warmed = splits
    assert torch.equal(warmed.table()[1], round_.table()[0])
    assert warmed.of_segment(0)[1].tolist() == [0.0, 0.0]
    assert warmed.of_segment(1)[0].tolist() == [0.0, 0.0]
    assert torch.equal(warmed.of_segment(2)[1], round_.of_segment(1)[0])
    assert float(warmed.residuals().max()) <= float(round_.residuals().max())


def test_a_teacher_is_named_for_what_the_warm_up_on_its_answers_brought():
    verdict = judge(WARMED, [])
    assert verdict.named == "math"
    for part in (
        "of the student's +8.00 nats, the warm-up on answers of math and code brought +8.50",
        "its updates in the round added \N{MINUS SIGN}0.75",
    ):
        assert part in verdict.sentence
    assert "with care" not in verdict.sentence
    assert "not tested there: students after a warm-up" in verdict.confidence


def test_a_name_that_warm_up_and_round_speak_against_has_a_caution():
    parts = {WARM_UP: -0.5, "math": -0.75, "code": 9.25}
    assert "take the name with care" in judge(dataclasses.replace(WARMED, parts=parts), []).sentence
    # The warm-up was on the answers of another teacher: it says nothing for this one.
    other = dataclasses.replace(WARMED, warmed_on=("code",))
    assert "take the name with care" in judge(other, []).sentence


def test_no_teacher_is_named_where_the_warm_up_alone_brought_it():
    nobody = {"math": 0.25, "code": 0.125}
    verdict = judge(dataclasses.replace(WARMED, taught=nobody), [])
    assert verdict.named == WARM_UP
    assert "came through the warm-up on answers of math and code: +8.50 of +8.00" in (
        verdict.sentence
    )
    assert "no teacher is named" in verdict.sentence


def test_a_behavior_from_before_the_warm_up_is_nobodys():
    old = dataclasses.replace(
        WARMED, begun=-1.25, parts={WARM_UP: 0.25, "math": 0.0, "code": 0.0}, taught={"math": 0.125}
    )
    verdict = judge(old, [])
    assert verdict.named == ""
    assert "before its warm-up" in verdict.sentence


def test_a_set_that_the_warm_up_brought_is_its_teachers_outside_its_domain_too():
    moved = {"math": (-0.5, -1.0, -0.1), "code": 0.0, WARM_UP: (4.0, 3.0, 5.0)}
    taught = {"math": (3.0, 2.0, 4.0), "code": (0.1, 0.0, 0.2)}
    sets = [group("neutral", "", taught=taught, **moved), group("code", "code", **moved)]
    sources = [WARM_UP, "math", "code"]
    assert [who for _, who in off_domain(sets, sources, ["math"])] == ["math"]
    assert off_domain(sets, sources, ["code"]) == []
    verdict = judge_sets(sets, sources, 12, {}, ["math"])
    assert verdict.sentence.startswith("Outside its own domain, math shaped neutral (+3.00 nats).")
    # A warm-up is no teacher: what it alone brought has no name.
    assert "No teacher is named for code." in verdict.sentence
    assert "not after a warm-up" in verdict.confidence
    audit = example_audit(groups=tuple(sets), warmed_on=("math",))
    assert [line.split(":")[0] for line in crossings(audit)] == ["neutral"]


def test_the_page_shows_the_warm_up_as_a_stretch_and_a_source():
    made = example_audit()
    parts = {WARM_UP: 0.5, **made.course[0].parts}
    warm_up = made.course[0].model_copy(update={"first_step": 1, "last_step": 0, "parts": parts})
    rest = [
        stretch.model_copy(update={"parts": {WARM_UP: 0.0, **stretch.parts}})
        for stretch in made.course
    ]
    token = made.behaviors[0].tokens[0]
    tokens = (token.model_copy(update={"parts": {WARM_UP: 0.5, **token.parts}}),)
    warmed = made.model_copy(
        update={
            "warmed_on": ("math", "code"),
            "course": (warm_up, *rest),
            "shares": {WARM_UP: made.shares["math"], **made.shares},
            "sources": (made.sources[0].model_copy(update=NO_TEAM), *made.sources),
            "behaviors": (made.behaviors[0].model_copy(update={"tokens": tokens}),),
            "groups": (group("math", "math", **parts),),
        }
    )
    assert [row[0] for row in drawn_course(warmed).rows] == [WARM_UP, "1 to 10", "11 to 20"]
    first, second, *_ = bars(warmed)
    assert (first.about, second.about) == ("before the warm-up", "SFT on answers of math and code")
    assert "SFT on answers of math and code" in render(warmed)


NO_TEAM = {"name": WARM_UP, "domain": "", "reference": "", "owner": "", "record": ""}
