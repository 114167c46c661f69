"""Which rung a stage takes: by KL where it was measured, by steps where it was not."""

from tasks.onpolicy.ladder import earlier_rungs, nearest_in_order, rungs_to_measure
from tests.support.climbs import CLIMB, rungs, teacher
from tests.support.refused import refused


def steps(found):
    return [staged.rung.step for staged in found]


def test_without_a_measurement_stages_are_spaced_by_the_order_of_the_climb():
    # 4 * 1 // 2 = 2 and, of three stages, 4 * 1 // 3 = 1 and 4 * 2 // 3 = 2, counted from 1.
    assert steps(earlier_rungs(teacher(CLIMB), 2)) == [40]
    assert steps(earlier_rungs(teacher(CLIMB), 3)) == [20, 40]
    assert [staged.kl for staged in earlier_rungs(teacher(CLIMB), 2)] == [None]


def test_with_one_the_nearest_in_kl_to_equal_parts_of_the_teachers_own_are_taken():
    # The climb goes most of its way at once: half of 0.4 is nearest to 0.18, at step 20.
    early = teacher(CLIMB, {20: 0.18, 40: 0.3, 60: 0.38, 80: 0.4})
    assert [(s.rung.step, s.kl) for s in earlier_rungs(early, 2)] == [(20, 0.18)]
    # Half of 0.4 again: 0.22 is nearer than 0.12.
    assert steps(earlier_rungs(teacher(CLIMB, {20: 0.12, 40: 0.22, 80: 0.4}), 2)) == [40]
    # And one that goes it at its end: thirds of 0.6 are 0.2 and 0.4.
    late = teacher(CLIMB, {20: 0.01, 40: 0.15, 60: 0.42, 80: 0.6})
    assert steps(earlier_rungs(late, 3)) == [40, 60]
    assert earlier_rungs(late, 3)[0].rung.checkpoint.digest == CLIMB[1].checkpoint.digest


def test_an_earlier_stage_never_takes_a_later_rung():
    # Alone each target, 1 and 2, would take the other's rung: 0 + 0. In order 0.9 + 0 is the least.
    assert nearest_in_order([2.0, 1.0, 2.9], [1.0, 2.0]) == [1, 2]
    # 1.0 is nearest to the first, but would leave 5.0 to the second: 0.4 + 0.1 is less than 4.0.
    assert nearest_in_order([0.5, 1.0, 5.0], [0.9, 1.1]) == [0, 1]
    assert nearest_in_order([1.0, 1.0], [1.0]) == [0]
    assert nearest_in_order([], []) == []


def test_one_stage_and_the_student_as_its_own_teacher_have_no_earlier_rungs():
    assert earlier_rungs(teacher([]), 1) == []
    assert earlier_rungs(teacher([], is_self=True), 3) == []


def test_more_stages_than_rungs_are_refused_by_the_teachers_name():
    with refused("too-few-rungs", "'math'", "4", "5"):
        earlier_rungs(teacher(CLIMB), 5)
    # A rung without numbers is left out of what was measured.
    with refused("too-few-measured-rungs", "2", "1"):
        earlier_rungs(teacher(CLIMB, {20: 0.1, 80: 0.4}), 3)


def test_of_a_long_climb_an_even_choice_is_measured_and_of_a_short_one_all():
    assert rungs_to_measure(CLIMB, 1) == []
    assert [rung.step for rung in rungs_to_measure(CLIMB, 2)] == [20, 40, 60]
    long = rungs(*range(1, 34))
    # 32 earlier rungs, 8 parts of 4: the third of each.
    assert [rung.step for rung in rungs_to_measure(long, 2)] == [3, 7, 11, 15, 19, 23, 27, 31]
    assert len(rungs_to_measure(long, 11)) == 20
