"""The published balances, by hand."""

import json

import pytest
import torch

from tasks.mopd.settings import Balance, BalanceSettings, DistilSettings, RoundSettings
from tasks.mopd.weighting import TeacherWeighting
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.settings import LoopSettings, Normalization
from tasks.onpolicy.step_metrics import MomentSums
from tasks.onpolicy.step_plan import plan_step
from tests.support.refused import invalid, refused
from tests.support.tiny_models import rollout

TOKEN, SEQUENCE = Normalization.TOKEN_MEAN, Normalization.SEQUENCE_MEAN


def of(teacher, length, share=1.0):
    return ScoredRollout(rollout(range(length + 1), range(1, length + 1)), teacher, share=share)


# Nine tokens of math, one of code.
SCORED = [of("math", 6), of("math", 3), of("code", 1)]


def weighting(rule, normalization=TOKEN, **weights):
    return TeacherWeighting(BalanceSettings(rule=rule, weights=weights), normalization)


def moments(**log_ratios):
    """Return the moments of a step with these log-ratios, by teacher."""
    sums = MomentSums()
    for teacher, values in log_ratios.items():
        for chunk in torch.tensor(values).split(1):
            sums.add(teacher, chunk)
    return sums.moments()


def test_without_a_balance_all_weigh_the_same():
    assert weighting(Balance.NONE).weights(SCORED) == {"code": 1.0, "math": 1.0}


def test_fixed_weights_are_as_given():
    assert weighting(Balance.FIXED, math=1.0, code=3.0).weights(SCORED) == {
        "code": 3.0,
        "math": 1.0,
    }


def test_a_teacher_without_a_fixed_weight_is_refused():
    with refused("teacher-without-weight", "'code'"):
        weighting(Balance.FIXED, math=1.0, law=3.0).weights(SCORED)


def test_token_share_gives_each_teacher_half_of_the_loss():
    weights = weighting(Balance.TOKEN_SHARE).weights(SCORED)
    # 1/2 over 9/10 and over 1/10.
    assert weights == pytest.approx({"math": 10 / 18, "code": 5.0})
    weighed = [ScoredRollout(i.rollout, i.teacher, weight=weights[i.teacher]) for i in SCORED]
    shares = {"math": 0.0, "code": 0.0}
    for batch in plan_step(weighed, TOKEN, 1000, pad_id=0):
        shares[batch.teacher] += float(batch.weights_N.sum())
    assert shares == pytest.approx({"math": 0.5, "code": 0.5})


def test_shares_of_a_rollout_count_as_such():
    weights = weighting(Balance.TOKEN_SHARE).weights([of("a", 4, 0.25), of("b", 4, 0.75)])
    assert weights == pytest.approx({"a": 2.0, "b": 2 / 3})


def test_the_gap_turns_up_who_is_farther():
    made = weighting(Balance.GAP, SEQUENCE)
    assert made.weights(SCORED) == {"math": 1.0, "code": 1.0}  # nothing is known yet
    made.end_step(moments(math=[0.1, -0.1], code=[-0.3, 0.3]))
    # Means of |log-ratio| 0.1 and 0.3 over their mean 0.2.
    assert made.weights(SCORED) == pytest.approx({"math": 0.5, "code": 1.5})


def test_the_gap_goes_with_token_shares_where_long_answers_count_more():
    made = weighting(Balance.GAP)
    made.end_step(moments(math=[0.1], code=[0.3]))
    assert made.weights(SCORED) == pytest.approx({"math": 0.5 * 10 / 18, "code": 1.5 * 5.0})


def test_the_gap_is_clamped():
    made = weighting(Balance.GAP, SEQUENCE)
    made.end_step(moments(math=[1e-9], code=[1.0]))
    assert made.weights(SCORED) == pytest.approx({"math": 0.05, "code": 2.0})


def test_dispersion_turns_down_who_scatters_more():
    made = weighting(Balance.DISPERSION)
    made.end_step(moments(math=[1.0, -1.0], code=[3.0, -3.0]))
    # Deviations 1 and 3; pooled over four tokens sqrt((1 + 1 + 9 + 9) / 4) = sqrt 5.
    assert made.weights(SCORED) == pytest.approx({"math": 5**0.5, "code": 5**0.5 / 3})


def test_dispersion_is_clipped():
    made = weighting(Balance.DISPERSION)
    made.end_step(moments(math=[0.01, -0.01], code=[3.0, -3.0]))
    assert made.weights(SCORED)["math"] == 4.0


def test_running_means_forget_a_tenth_a_step_and_survive_a_restart():
    made = weighting(Balance.GAP, SEQUENCE)
    made.end_step(moments(math=[1.0], code=[1.0]))
    made.end_step(moments(math=[2.0], code=[1.0]))
    assert made.running["math"].size == pytest.approx(0.9 * 1 + 0.1 * 2)
    again = weighting(Balance.GAP, SEQUENCE)
    again.load_state(json.loads(json.dumps(made.state())))
    assert again.weights(SCORED) == made.weights(SCORED)


@pytest.mark.parametrize(
    ("rule", "weights", "code"),
    [
        (Balance.FIXED, {}, "weights-of-other-rule"),
        (Balance.NONE, {"math": 1.0}, "weights-of-other-rule"),
        (Balance.FIXED, {"math": 1.0, "code": 1.0}, "no-effect"),
        (Balance.FIXED, {"math": 0.0, "code": 1.0}, "no-effect"),
    ],
)
def test_weights_that_mean_nothing_are_refused(rule, weights, code):
    with invalid(code, str(weights)):
        BalanceSettings(rule=rule, weights=weights)


def test_a_balance_that_the_normalization_makes_idle_is_refused():
    loop = LoopSettings(num_steps=1, learning_rate=1e-3, normalization=SEQUENCE)
    distil = DistilSettings(balance=BalanceSettings(rule=Balance.TOKEN_SHARE))
    with invalid("no-effect", "token_share"):
        RoundSettings(loop=loop, distil=distil)
