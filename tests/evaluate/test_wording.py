"""The sentences follow the numbers, and the numbers read as they should."""

import pytest

from tasks.contracts.controls import Control
from tasks.evaluate.scorecard import make_scorecard
from tasks.evaluate.scores import Normalized, Outcomes
from tasks.evaluate.wording import findings, headline, known, label, number, percent, signed
from tests.support.scorecard_example import SOLVED, TEACHERS, example_outcomes, example_scorecard

DIAGONAL = tuple(TEACHERS[domain][index] for index, domain in enumerate(TEACHERS))


@pytest.fixture(scope="module")
def strong():
    return example_scorecard()


def test_a_student_that_wins_is_reported_as_better(strong):
    share = strong.overall.normalized["student"]
    sentence = headline(strong).replace("\N{NO-BREAK SPACE}", " ")
    assert f"reaches {share.mean * 100:.0f} % of its teachers" in sentence
    assert f"95 % interval {share.low * 100:.0f} % to {share.high * 100:.0f} %)" in sentence
    lead = strong.paired["overall"]["off_policy_sft"].mean
    assert f"beats the best of 3 controls, off-policy SFT, by {lead:.2f}." in headline(strong)


def test_a_student_that_loses_is_reported_as_worse():
    weak = example_scorecard(student=(0.5, 0.5, 0.5, 0.5))
    assert "short of the best of 3 controls, off-policy SFT." in headline(weak)


def test_a_student_equal_to_a_control_is_reported_as_not_better():
    tied = example_scorecard(student=SOLVED["off_policy_sft"])
    assert "does not differ measurably from the best of 3 controls, off-policy SFT." in headline(
        tied
    )


def test_a_student_is_called_one_run_with_intervals_over_prompts(strong):
    (line,) = [line for line in findings(strong) if line.startswith("This is one training run")]
    assert "over prompts" in line


def test_the_controls_that_were_not_run_are_named(strong):
    missing = findings(strong)[-1]
    assert missing.startswith("Controls that were not run: TIES, DARE, off-policy KD, Mix-RL,")
    assert missing.endswith("MOPD after SFT and MOPD with outcome.")
    assert "off-policy SFT" not in missing
    ran = {each.value: SOLVED["student"] for each in Control}
    assert not any("not run" in line for line in findings(example_scorecard(**ran)))


def test_a_single_control_is_not_called_the_best():
    full = example_outcomes()
    kept = {name: full.methods[name] for name in ("fork_point", "student", "task_arithmetic")}
    one = make_scorecard(
        Outcomes(methods=kept, teachers=full.teachers, settings=full.settings), resamples=100
    )
    assert "beats its only control, task arithmetic, by 0.2" in headline(one)
    assert any("off-policy SFT" in line for line in findings(one) if "not run" in line)


def test_without_controls_the_headline_names_none():
    full = example_outcomes()
    kept = {name: full.methods[name] for name in ("fork_point", "student")}
    bare = make_scorecard(
        Outcomes(methods=kept, teachers=full.teachers, settings=full.settings), resamples=100
    )
    assert "control" not in headline(bare)
    assert headline(bare).endswith("%).")


def test_without_a_normalized_score_the_headline_gives_the_score():
    same = example_scorecard(fork_point=DIAGONAL)
    assert headline(same).startswith("The student scores 0.")
    assert any(
        line.startswith("No normalized score in math: the teacher") for line in findings(same)
    )


def test_the_headline_names_the_domains_that_its_share_leaves_out():
    fork = (DIAGONAL[0], *SOLVED["fork_point"][1:])
    assert ", leaving out math)" in headline(example_scorecard(fork_point=fork))


def test_domains_are_sorted_into_below_above_and_neither():
    mixed = example_scorecard(1, student=(0.60, 0.99, 0.92, 0.94))
    lines = findings(mixed)
    assert lines[0].startswith("Below its teacher in math (\N{MINUS SIGN}0.28)")
    assert lines[1].startswith("Above its teacher in code (+0.10)")
    assert lines[2] == "Not distinguishable from its teacher in 2 of 4 domains."


def test_a_loss_against_the_fork_point_is_named():
    worse = example_scorecard(student=(0.20, 0.84, 0.10, 0.93))
    assert "Worse than the fork point in math and agent." in findings(worse)


def test_a_climbs_scorecard_names_its_teacher():
    full = example_outcomes()
    climb = Outcomes(
        methods={"fork_point": {"math": full.methods["fork_point"]["math"]}},
        teachers={"math": {"math": full.teachers["math"]["math"]}},
        settings=full.settings,
    )
    assert headline(make_scorecard(climb)).startswith("The teacher scores 0.90, +0.5")
    assert findings(make_scorecard(climb)) == ()


@pytest.mark.parametrize(
    ("value", "plain", "sign"),
    [
        (0.126, "0.13", "+0.13"),
        (-0.126, "\N{MINUS SIGN}0.13", "\N{MINUS SIGN}0.13"),
        (0.004, "0.00", "0.00"),
        (-0.004, "0.00", "0.00"),
        (1.0, "1.00", "+1.00"),
    ],
)
def test_numbers_have_two_decimals_and_zero_has_no_sign(value, plain, sign):
    assert number(value) == plain
    assert signed(value) == sign


def test_percents_are_whole_and_keep_their_sign_on_the_same_line():
    shown = [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0.946, 1.02, -0.3)]
    assert shown == ["95 %", "102 %", "\N{MINUS SIGN}30 %"]


def test_methods_read_as_words():
    assert label("parameter_average") == "parameter average"
    assert label("off_policy_sft") == "off-policy SFT"
    assert label("something_new") == "something new"


def test_a_refused_normalized_score_is_unknown():
    assert known(Normalized(mean=None, low=None, high=None, n=4, reason="no gain")) is None
    assert known(None) is None


def test_a_control_that_was_left_out_is_named_in_the_headline_and_its_reason_below(strong):
    card = strong.model_copy(update={"left_out": {"mix_rl": "no reward"}})
    assert headline(card) == headline(strong).removesuffix(".") + "; control left out: Mix-RL."
    assert "Mix-RL was left out: no reward." in findings(card)
    assert "Mix-RL" not in findings(card)[-1]
    assert "Mix-RL" in findings(strong)[-1]
    both = strong.model_copy(update={"left_out": {"mix_rl": "no reward", "ties": "torn"}})
    assert headline(both).endswith("; controls left out: Mix-RL and TIES.")


def test_a_student_without_any_control_says_which_is_missing():
    full = example_outcomes()
    kept = {name: full.methods[name] for name in ("fork_point", "student")}
    given = {"teachers": full.teachers, "settings": full.settings, "left_out": {"ties": "torn"}}
    bare = make_scorecard(Outcomes(methods=kept, **given), resamples=100)
    assert headline(bare).endswith("%); control left out: TIES.")
