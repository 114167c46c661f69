"""The points of the map by hand: what an axis changes, and what it leaves."""

import random

import pytest

from benchmarks.map.case import FULL, climb_of, foundation_steps, ladder_of, longest_of, merge_of
from benchmarks.map.domains import (
    DOMAINS,
    Counts,
    demonstrations,
    is_corrupted,
    prompts,
    questions,
    settings_of,
    write_domain,
)
from benchmarks.map.points import (
    AXES,
    CENTER,
    REFERENCE,
    Conflict,
    Point,
    name_of,
    points,
    shares_mix_rl,
)
from benchmarks.map.worked import LETTERS, Kind, asked, drawn, rank_of, worked
from tasks.rollout.environment import Turn
from tasks.rollout.worker.bundle import check, collect
from workflows.testbed.add.environment import ENVIRONMENT
from workflows.testbed.add.prompts import answer_of, steps_of
from workflows.testbed.sort.environment import after_pass

COLUMNS = ((8, 6), (3, 5))
ADD, ADD_MARKED, SORT, SORT_MARKED = DOMAINS[:4]


def grade(prompt, said):
    return ENVIRONMENT.grade(prompt, [Turn("assistant", said)]).score


def test_the_center_is_one_of_eleven_points_and_a_value_of_every_axis():
    assert next(iter(points())) == CENTER
    assert len(points()) == 11 + 1  # and the reference
    assert {len(values) for values in AXES.values()} == {3}
    assert [name_of(axis, getattr(Point(), axis)) for axis in AXES] == [CENTER] * 5


def test_a_point_differs_from_the_center_in_its_axis_alone():
    for name, point in points().items():
        changed = {axis for axis in AXES if getattr(point, axis) != getattr(Point(), axis)}
        assert changed == ({name.partition("-")[0]} - {CENTER})


def test_two_points_and_their_reference_have_a_longer_fork_point():
    longer = {name for name, point in points().items() if point.longer}
    assert longer == {"length-9", "conflict-steps", REFERENCE}
    assert points()[REFERENCE].model_copy(update={"longer": False}) == Point()


def test_mix_rl_is_the_centers_where_only_teachers_differ():
    shared = {name for name, point in points().items() if shares_mix_rl(point)}
    assert shared == {"gap-6", "gap-24", "error-20", "error-40"}
    for name, point in points().items():
        assert ("mix_rl" in str(merge_of(name, point, FULL, 0).settings)) == (name not in shared)


def test_sums_are_worked_out_as_in_the_testbed():
    right = worked(COLUMNS)
    assert right.text() == "<think>8+6+0=14;3+5+1=09;</think>490"
    assert "".join(right.steps) == steps_of(COLUMNS, [True, True])
    assert right.final() == answer_of(COLUMNS, [True, True])


def test_lists_are_worked_out_as_in_the_testbed():
    right = worked(("q", "d", "m"))
    assert right.text() == "<think>q,d=d>q;q,m=m>q;</think>d,m,q"
    assert right.answer.split(",") == after_pass(["q", "d", "m"])


def test_a_slip_is_one_wrong_step_from_which_the_others_go_on():
    # The carry of 8 + 6 is forgotten; a carry into the first column is invented.
    assert worked(COLUMNS, slip=1).text() == "<think>8+6+0=14;3+5+0=08;</think>480"
    assert worked(COLUMNS, slip=0).text() == "<think>8+6+1=15;3+5+1=09;</think>590"
    # q and d stay as they are, so d is taken along.
    assert worked(("q", "d", "m"), slip=0).text() == "<think>q,d=q>d;d,m=d>m;</think>q,d,m"


@pytest.mark.parametrize("kind", Kind)
def test_every_slip_makes_the_answer_wrong(kind):
    rng = random.Random(0)
    for _ in range(200):
        question = drawn(kind, 5, rng)
        slipped = {worked(question, slip).final() for slip in range(5)}
        assert worked(question).final() not in slipped


@pytest.mark.parametrize("length", AXES["length"])
def test_a_length_is_the_number_of_worked_steps(length):
    for domain in DOMAINS:
        (question,) = questions(domain, length, "train", 1)
        assert len(worked(question).steps) == len(worked(question).other_steps) == length


@pytest.mark.parametrize("length", AXES["length"])
def test_as_many_demonstrations_are_right_at_each_length(length):
    for domain in (ADD, SORT_MARKED):
        point = Point(length=length)
        asked_of = {each.messages: each for each in prompts(domain, point, "train", 500)}
        shown = list(demonstrations(domain, point, 500))
        right = sum(grade(asked_of[each.messages], each.turns[0].content) for each in shown)
        assert right / 500 == pytest.approx(0.4, abs=0.07)  # three standard errors


def test_the_second_of_a_family_contradicts_the_first_as_far_as_the_conflict_says():
    said = {c: ADD_MARKED.said(worked(COLUMNS), c) for c in Conflict}
    assert said[Conflict.NONE] == ADD.said(worked(COLUMNS), Conflict.STEPS)
    assert said[Conflict.ANSWER] == "<think>8+6+0=14;3+5+1=09;</think>490!"
    assert said[Conflict.STEPS] == "<think>8-6-0:14,3-5-1:09,</think>490!"
    assert SORT_MARKED.said(worked(("q", "d", "m")), Conflict.STEPS) == (
        "<think>q/d:d<q,q/m:m<q,</think>d,m,q!"
    )


def test_a_family_has_the_same_questions_under_two_system_prompts():
    one, other = (list(prompts(each, Point(), "evaluation", 20)) for each in (SORT, SORT_MARKED))
    assert [p.messages[1] for p in one] == [p.messages[1] for p in other]
    assert {p.messages[0] for p in one}.isdisjoint(p.messages[0] for p in other)
    assert all(p.task["answer"] + "!" == q.task["answer"] for p, q in zip(one, other, strict=True))


def test_the_grader_of_the_testbed_takes_right_answers_of_every_domain_alone():
    for domain in DOMAINS:
        for prompt, question in zip(
            prompts(domain, Point(), "train", 5),
            questions(domain, 6, "train", 5),
            strict=True,
        ):
            assert grade(prompt, domain.said(worked(question), Conflict.ANSWER)) == 1
            assert grade(prompt, domain.said(worked(question, 2), Conflict.ANSWER)) == 0
            assert grade(prompt, domain.said(worked(question), Conflict.STEPS)) == 1


def test_the_error_is_of_so_many_first_digits_and_letters():
    digits = [((digit, 0),) for digit in range(10)]
    letters = [(letter, "z") for letter in LETTERS]
    assert rank_of(digits[3]) == 0.3
    for percent, num_digits, num_letters in ((0, 0, 0), (20, 2, 4), (40, 4, 8)):
        assert sum(is_corrupted(each, percent) for each in digits) == num_digits
        assert sum(is_corrupted(each, percent) for each in letters) == num_letters


def test_corrupted_questions_are_always_shown_with_a_wrong_first_step():
    point = Point(error=40)
    shown = list(demonstrations(SORT, point, 300))
    asked_of = questions(SORT, point.length, "train", 300)
    hit = 0
    for question, each in zip(asked_of, shown, strict=True):
        if is_corrupted(question, 40):
            hit += 1
            assert each.turns[0].content == worked(question, 0).text()
    assert hit / 300 == pytest.approx(0.4, abs=0.09)
    # The grader knows nothing of it.
    assert list(prompts(SORT, point, "train", 9)) == list(prompts(SORT, Point(), "train", 9))


def test_splits_of_a_family_share_no_question():
    splits = ("train", "validation", "evaluation")
    for domain in (ADD, DOMAINS[6]):
        held = [set(questions(domain, 3, split, 60)) for split in splits]
        assert not held[0] & held[1]
        assert not (held[0] | held[1]) & held[2]
    # A question that one family holds out is held out in the others.
    trained = {asked(q, ",") for q in questions(DOMAINS[4], 3, "train", 300)}
    assert not trained & {asked(q, ",") for q in questions(ADD, 3, "evaluation", 60)}


def test_twelve_domains_have_names_and_questions_of_their_own():
    assert len({domain.name for domain in DOMAINS}) == 12
    texts = {(d.system_prompt, asked(next(questions(d, 6, "train", 1)), d.mark)) for d in DOMAINS}
    assert len(texts) == 12


def test_a_folder_of_a_domain_is_a_bundle(tmp_path):
    counts = Counts(train=6, validation=2, evaluation=8, demonstrations=5)
    folder = write_domain(tmp_path, SORT_MARKED, Point(), counts)
    check(collect(str(folder), tmp_path / "bundle"))
    rows = (folder / "prompts" / "evaluation.jsonl").read_text().splitlines()
    assert len(rows) == 4  # as many as two domains need
    settings = settings_of(SORT_MARKED, counts, 2)
    assert (settings.name, settings.num_evaluation) == ("sort_marked", 4)


def test_the_gap_is_the_length_of_the_climb_with_as_many_rungs():
    for steps in AXES["gap"]:
        loop = climb_of(Point(gap=steps), FULL).loop
        assert loop.num_steps == steps
        assert len(loop.rung_steps()) >= 4


@pytest.mark.parametrize("teachers", AXES["teachers"])
def test_a_merge_has_as_many_rollouts_for_any_number_of_teachers(teachers):
    merge = merge_of("x", Point(teachers=teachers), FULL, 1)
    (count,) = (int(s.split("=")[1]) for s in merge.settings if s.startswith("prompts_per"))
    assert count * teachers == FULL.merge_rollouts
    assert count % 8 == 0  # Mix-RL has groups of eight, and as many rollouts then
    assert FULL.counts.evaluation % teachers == 0
    assert "controls=off_policy_sft,mix_rl" in merge.settings
    assert merge.name == "map-x-1"


def test_the_ladder_is_the_same_merge_in_stages():
    direct, staged = merge_of(CENTER, Point(), FULL, 0), ladder_of(Point(), FULL, 0)
    assert direct.round == staged.round
    assert set(staged.settings) - set(direct.settings) == {"controls=none", "ladder_stages=3"}


def test_answers_have_room_for_a_third_more():
    assert [longest_of(Point(length=steps)) for steps in AXES["length"]] == [62, 104, 146]


@pytest.mark.parametrize(
    ("point", "steps"),
    [
        (Point(), 80),
        (Point(length=3), 80),
        (points()["length-9"], 240),
        (points()["conflict-steps"], 240),
        (points()[REFERENCE], 240),
    ],
)
def test_the_fork_points_of_harder_points_train_for_longer(point, steps):
    assert foundation_steps(point, FULL) == steps
