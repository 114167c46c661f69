"""Which prompts a step draws: repeatable from seed and step, each once an epoch."""

from collections import Counter

import pytest

from tasks.rollout.domains import DomainShare, Mixture
from tasks.rollout.environment import Message, Prompt
from tests.support.refused import refused


class Recorder:
    """A player that keeps what it is given; a rollout is (domain, prompt, its noise)."""

    def __init__(self, noise_per_rollout=3):
        self.noise_per_rollout = noise_per_rollout

    def refuse_too_long(self, questions):
        long = [(q.domain, q.prompt.id) for q in questions if q.prompt.task]
        if long:
            raise ValueError(f"too long: {long}")

    def play(self, questions, noise_RT):
        assert noise_RT.shape == (len(questions), self.noise_per_rollout)
        rows = map(tuple, noise_RT.tolist())
        return [(q.domain, q.prompt.id, row) for q, row in zip(questions, rows, strict=True)]


def share(domain="math", num_prompts=10, prompts_per_step=4):
    """Return a domain of so many prompts, named after their numbers."""
    prompts = [Prompt(str(number), (Message("user", "?"),)) for number in range(num_prompts)]
    return DomainShare(domain, prompts, prompts_per_step)


def mixture(*shares, times=1, seed=0, noise_per_rollout=3):
    """Return a mixture of these shares, or of the standard one."""
    return Mixture(Recorder(noise_per_rollout), shares or [share()], times, seed)


def drawn(mixture, steps):
    """Return the prompt ids of these steps, one after the other."""
    return [rollout[1] for step in steps for rollout in mixture.rollouts(step)]


def test_a_step_is_the_same_whatever_was_drawn_before_it():
    disturbed, fresh = mixture(times=2, seed=7), mixture(times=2, seed=7)
    steps = [disturbed.rollouts(step) for step in (1, 2, 3, 9)]
    assert fresh.rollouts(9) == steps[3]
    assert fresh.rollouts(3) == steps[2]
    assert disturbed.rollouts(1) == steps[0]


def test_another_seed_draws_other_prompts_with_other_noise():
    first, second = (mixture(seed=seed).rollouts(1) for seed in (0, 1))
    assert [r[1] for r in first] != [r[1] for r in second]
    assert {r[2] for r in first}.isdisjoint(r[2] for r in second)


def test_steps_differ_in_their_noise_even_where_the_prompts_are_the_same():
    steps = mixture(share(num_prompts=1, prompts_per_step=1))
    assert steps.rollouts(1)[0][:2] == steps.rollouts(2)[0][:2]
    assert steps.rollouts(1)[0][2] != steps.rollouts(2)[0][2]


def test_each_epoch_visits_each_prompt_once():
    # 5 steps of 4 prompts are two epochs of 10; the third step stands across both.
    ids = drawn(mixture(), range(1, 6))
    everything = sorted(map(str, range(10)))
    assert sorted(ids[:10]) == everything
    assert sorted(ids[10:]) == everything


def test_each_epoch_has_an_order_of_its_own():
    ids = drawn(mixture(), range(1, 6))
    assert ids[:10] != ids[10:]
    assert ids[:10] != sorted(ids[:10])


def test_a_step_larger_than_the_domain_goes_round_it():
    # 7 draws from 3 prompts: two whole rounds and one more.
    assert sorted(Counter(drawn(mixture(share("math", 3, 7)), [1])).values()) == [2, 2, 3]


def test_each_prompt_is_played_so_many_times_in_a_row():
    ids = drawn(mixture(times=3), [1])
    assert len(ids) == 12
    assert all(len(set(ids[first : first + 3])) == 1 for first in range(0, 12, 3))
    assert len(set(ids)) == 4


def test_rollouts_of_one_prompt_have_noise_of_their_own():
    noise = [rollout[2] for rollout in mixture(times=3).rollouts(1)]
    assert len(set(noise)) == 12


def test_each_domain_gets_its_share_in_every_step():
    both = mixture(share("math", 10, 4), share("code", 6, 2), times=2)
    for step in (1, 2, 7):
        domains = Counter(rollout[0] for rollout in both.rollouts(step))
        # 4 prompts and 2 prompts, twice each.
        assert domains == {"math": 8, "code": 4}


def test_domains_have_orders_and_noise_of_their_own():
    rollouts = mixture(share("math"), share("code")).rollouts(1)
    math, code = rollouts[:4], rollouts[4:]
    assert [r[1] for r in math] != [r[1] for r in code]
    assert {r[2] for r in math}.isdisjoint(r[2] for r in code)


@pytest.mark.parametrize(
    "noise_per_rollout",
    [
        3,
        9,
    ],
    ids=["of as many turns", "of more turns"],
)
def test_a_domains_draws_do_not_depend_on_the_mixture(noise_per_rollout):
    alone = mixture(share("math")).rollouts(3)
    beside = mixture(share("code"), share("math"), noise_per_rollout=noise_per_rollout).rollouts(3)
    math = [rollout for rollout in beside if rollout[0] == "math"]
    # What math may need of its noise stands in front.
    assert [(domain, prompt, noise[:3]) for domain, prompt, noise in math] == alone


@pytest.mark.parametrize(("num_prompts", "prompts_per_step"), [(0, 4), (10, 0), (10, -1)], ids=str)
def test_a_domain_without_prompts_or_without_a_share_is_refused(num_prompts, prompts_per_step):
    with refused("never-trained", "'code'", str(num_prompts), str(prompts_per_step)):
        share("code", num_prompts, prompts_per_step)


def test_a_prompt_that_no_step_could_play_is_refused_before_the_first():
    long = Prompt("x", (Message("user", "?"),), {"long": True})
    art = DomainShare("art", [*share("art").prompts, long], 4)
    with pytest.raises(ValueError, match=r"too long: \[\('art', 'x'\)\]"):
        mixture(share(), art)
