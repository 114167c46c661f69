"""From outcomes to a scorecard: the JSON shape, the numbers in their places, the refusals."""

import json

import pytest
from pydantic import ValidationError

from tasks.evaluate.scorecard import Scorecard, make_scorecard
from tasks.evaluate.scores import Outcomes, PromptOutcome, ScorecardSettings
from tasks.statistics import mean_of_domains, wilson
from tests.support.refused import invalid

SETTINGS = ScorecardSettings(temperature=0.7, samples=1, seed=0, max_tokens=64)


def solved(count: int, of: int = 100) -> tuple[PromptOutcome, ...]:
    """The first ``count`` prompts solved, the others not."""
    return tuple(
        PromptOutcome(
            prompt=f"p{index:03}",
            scores=(float(index < count),),
            lengths=(10 if index < count else 30,),
            truncated=(index >= 90,),
        )
        for index in range(of)
    )


def outcomes(**methods: dict[str, tuple[PromptOutcome, ...]]) -> Outcomes:
    """Two domains: the fork point solves 20 and 30 of 100, the teachers 80 and 90."""
    return Outcomes(
        methods={
            "parameter_average": {"math": solved(50), "code": solved(60)},
            "fork_point": {"math": solved(20), "code": solved(30)},
            "student": {"math": solved(65), "code": solved(90)},
            **methods,
        },
        teachers={
            "math": {"math": solved(80), "code": solved(10)},
            "code": {"math": solved(5), "code": solved(90)},
        },
        settings=SETTINGS,
    )


def test_the_document_has_the_domains_and_overall_at_the_top():
    document = make_scorecard(outcomes()).document()
    methods = {"fork_point", "teacher", "student", "parameter_average"}
    for name in ("math", "code", "overall"):
        assert set(document[name]) == methods | {"normalized"}
        assert set(document[name]["normalized"]) == methods
        for method in methods:
            assert set(document[name][method]) == {"mean", "low", "high", "n"}
            assert set(document[name]["normalized"][method]) >= {"mean", "low", "high"}
    assert set(document) - {"math", "code"} == {
        "overall", "paired", "matrix", "responses", "settings",
    }  # fmt: skip


def test_each_number_is_in_its_cell():
    card = make_scorecard(outcomes())
    assert card.domains["math"].methods["student"] == wilson(65, 100)
    assert card.domains["code"].methods["fork_point"] == wilson(30, 100)
    assert card.domains["math"].methods["teacher"] == wilson(80, 100)
    assert card.overall.methods["teacher"] == mean_of_domains([wilson(80, 100), wilson(90, 100)])
    assert card.domains["math"].normalized["student"].mean == pytest.approx(45 / 60)
    assert card.domains["code"].normalized["student"].mean == pytest.approx(1)
    assert card.overall.normalized["student"].mean == pytest.approx((0.75 + 1) / 2)
    assert card.matrix["math"]["code"] == wilson(10, 100)
    assert card.matrix["code"]["math"] == wilson(5, 100)


def test_paired_differences_are_student_minus_the_other():
    card = make_scorecard(outcomes())
    assert card.paired["math"]["fork_point"].mean == pytest.approx(0.45)
    assert card.paired["math"]["teacher"].mean == pytest.approx(-0.15)
    assert card.paired["overall"]["parameter_average"].mean == pytest.approx((0.15 + 0.30) / 2)
    assert "student" not in card.paired["math"]


def test_an_unknown_method_needs_no_code():
    control = {"math": solved(40), "code": solved(40)}
    card = make_scorecard(outcomes(cascade_with_replay=control))
    assert card.methods() == (
        "fork_point", "teacher", "student", "parameter_average", "cascade_with_replay",
    )  # fmt: skip
    assert card.overall.methods["cascade_with_replay"].mean == pytest.approx(0.4)
    assert "cascade_with_replay" in card.document()["math"]["normalized"]


def test_prompts_are_paired_by_id_whatever_their_order():
    backwards = {"math": solved(65)[::-1], "code": solved(90)[::-1]}
    assert make_scorecard(outcomes(student=backwards)) == make_scorecard(outcomes())


def test_lengths_and_cuts_are_averaged():
    responses = make_scorecard(outcomes()).responses["math"]["student"]
    assert responses.mean_tokens == pytest.approx((65 * 10 + 35 * 30) / 100)
    assert responses.truncated == wilson(10, 100)


def test_an_unmeasured_value_is_null():
    bare = tuple(PromptOutcome(prompt=o.prompt, scores=o.scores) for o in solved(65))
    responses = make_scorecard(outcomes(student={"math": bare, "code": bare})).responses
    assert responses["math"]["student"].mean_tokens is None
    assert responses["math"]["student"].truncated is None


def test_a_threshold_decides_what_counts_as_passed():
    half = tuple(PromptOutcome(prompt=f"p{i:03}", scores=(0.5,)) for i in range(100))
    measured = outcomes(student={"math": half, "code": half})
    barred = measured.model_copy(
        update={"settings": SETTINGS.model_copy(update={"passed": {"math": 0.5, "code": 0.6}})}
    )
    student = {d: s.methods["student"].mean for d, s in make_scorecard(barred).domains.items()}
    assert student == {"math": 1.0, "code": 0.0}
    assert make_scorecard(measured).overall.methods["student"].mean == 0.5


def test_a_climb_without_a_student_compares_its_teacher():
    card = make_scorecard(
        Outcomes(
            methods={"fork_point": {"math": solved(20)}},
            teachers={"math": {"math": solved(80)}},
            settings=SETTINGS,
        )
    )
    assert card.subject == "teacher"
    assert card.paired["math"]["fork_point"].mean == pytest.approx(0.6)


def test_without_a_fork_point_no_score_is_normalized():
    measured = Outcomes(
        methods={"student": {"math": solved(20)}},
        teachers={"math": {"math": solved(80)}},
        settings=SETTINGS,
    )
    assert make_scorecard(measured).overall.normalized == {}


def test_a_teacher_that_gains_nothing_leaves_a_reason_in_the_document():
    dead = Outcomes(
        methods={"fork_point": {"math": solved(80)}, "student": {"math": solved(80)}},
        teachers={"math": {"math": solved(80)}},
        settings=SETTINGS,
    )
    student = make_scorecard(dead).document()["math"]["normalized"]["student"]
    assert student["mean"] is None
    assert "not above 0" in student["reason"]


def test_a_domain_more_leaves_the_numbers_of_the_others_as_they_are():
    two = outcomes()
    one = Outcomes(
        methods={name: {"math": row["math"]} for name, row in two.methods.items()},
        teachers={"math": {"math": two.teachers["math"]["math"]}},
        settings=SETTINGS,
    )
    assert make_scorecard(one).domains["math"] == make_scorecard(two).domains["math"]


def test_the_document_survives_json_and_reads_back():
    card = make_scorecard(outcomes())
    assert Scorecard.from_document(json.loads(json.dumps(card.document(), allow_nan=False))) == card


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(paired=None),
        lambda d: d.pop("settings"),
        lambda d: d["math"]["student"].pop("low"),
        lambda d: d["math"]["student"].update(median=0.5),
        lambda d: d["settings"].update(top_p=1),
    ],
)
def test_a_changed_document_is_refused(change):
    document = make_scorecard(outcomes()).document()
    change(document)
    with pytest.raises(ValidationError):
        Scorecard.from_document(document)


@pytest.mark.parametrize(
    ("methods", "code", "names"),
    [
        ({"student": {"math": solved(65)}}, "not-evaluated", ("student", "code")),
        (
            {"student": {"math": solved(65), "code": solved(9, of=99)}},
            "other-prompts",
            ("99", "code"),
        ),
        ({"student": {"math": solved(65), "code": solved(9)[:-1] * 2}}, "other-prompts", ("code",)),
        ({"student": {"math": solved(65), "code": ()}}, "other-prompts", ("0 ", "code")),
        ({"teacher": {"math": solved(1), "code": solved(1)}}, "teacher-as-method", ()),
        (
            {"normalized": {"math": solved(1), "code": solved(1)}},
            "reserved-name",
            ("'normalized'",),
        ),
        (
            {"student": {"math": solved(1), "code": solved(1), "agent": solved(1)}},
            "domain-without-teacher",
            ("'agent'",),
        ),
    ],
)
def test_outcomes_that_cannot_be_compared_are_refused(methods, code, names):
    with invalid(code, *names):
        outcomes(**methods)


@pytest.mark.parametrize(
    ("teachers", "code", "names"),
    [
        ({}, "no-teacher", ()),
        ({"math": {}}, "not-evaluated", ("math",)),
        ({"overall": {"overall": solved(1)}}, "reserved-name", ("'overall'",)),
        (
            {"math": {"math": solved(80), "code": solved(9, of=9)}, "code": {"code": solved(90)}},
            "other-prompts",
            ("teacher code", "100", "9 "),
        ),
    ],
)
def test_teachers_that_cannot_be_compared_are_refused(teachers, code, names):
    with invalid(code, *names):
        Outcomes(methods={}, teachers=teachers, settings=SETTINGS)


def test_lengths_that_do_not_match_the_scores_are_refused():
    with invalid("other-lengths", "'p'", "lengths"):
        PromptOutcome(prompt="p", scores=(1.0, 0.0), lengths=(5,))


WHY = {"off_policy_sft": "all answers are cut off", "mopd_after_sft": "the same"}


def test_a_scorecard_names_the_controls_that_it_lacks_and_an_older_one_is_read():
    measured = outcomes()
    card = make_scorecard(measured.model_copy(update={"left_out": WHY}))
    assert card.document()["left_out"] == WHY
    assert Scorecard.from_document(json.loads(json.dumps(card.document()))) == card
    whole = make_scorecard(measured)
    assert "left_out" not in whole.document()  # so its bytes are those of earlier versions
    assert Scorecard.from_document(whole.document()).left_out == {}
    assert card.model_copy(update={"left_out": {}}) == whole


def test_a_measured_control_cannot_be_left_out():
    measured = outcomes()
    given = {name: getattr(measured, name) for name in ("methods", "teachers", "settings")}
    with invalid("measured-and-left-out", "parameter_average"):
        Outcomes(**given, left_out={"parameter_average": "cut off"})
