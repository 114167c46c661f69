"""Which rollouts a step learns from: groups left out and sampled again, and overlong rollouts."""

from dataclasses import replace

import pytest

from tasks.onpolicy.settings import LoopSettings
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.objective import Reinforcement
from tasks.rl.policy_tools import PolicyTools
from tasks.rl.settings import RlSettings
from tasks.rl.source import RewardedSource, StagedDraws
from tasks.rl.variants import GroupSettings
from tests.support.tiny_models import rollout


def group(name, *scores, tokens=1, domain="math"):
    """Return a group with these scores."""
    return [
        rollout(range(tokens + 1), range(1, tokens + 1), score=score, prompt=name, domain=domain)
        for score in scores
    ]


class Prepared:
    """Draws what it was given, and its replacements one attempt after the other."""

    def __init__(self, first, *more):
        self.first, self.more, self.asked = first, more, []

    def rollouts(self, step):
        return [item for own in self.first for item in own]

    def replacements(self, step, attempt, counts, used):
        self.asked.append((attempt, dict(counts), sorted(name for _, name in used)))
        return [item for own in self.more[attempt : attempt + 1] for item in own]


def source_of(draws, **groups):
    loop = LoopSettings(num_steps=3, learning_rate=1e-3)
    settings = RlSettings(
        loop=loop,
        sampling={"max_new_tokens": 10},
        rollouts_per_prompt=2,
        groups=GroupSettings(**groups),
    )
    source = RewardedSource(draws, settings)
    objective = Reinforcement(settings, PolicyTools(GroupAdvantage(), judge=source.judged))
    return source, objective


def learned(source, objective):
    """Return the prompts of the rollouts that a step learns from."""
    return [item.rollout.prompt.id for item in objective.score(source.rollouts(1))]


EVEN, MIXED = group("even", 1, 1), group("mixed", 1, 0)


def test_by_default_every_group_is_kept():
    assert learned(*source_of(Prepared([EVEN, MIXED]))) == ["even", "even", "mixed", "mixed"]


def test_groups_with_equal_rewards_are_dropped_and_their_share_reported():
    source, objective = source_of(Prepared([EVEN, MIXED]), zero_variance="drop")
    assert learned(source, objective) == ["mixed", "mixed"]
    assert objective.end_step(1)["mechanism/zero_variance/bound"] == 0.5


def test_a_step_of_equal_groups_leaves_nothing_to_learn():
    assert learned(*source_of(Prepared([EVEN]), zero_variance="drop")) == []


def test_groups_are_sampled_again_until_they_differ_within_the_bound():
    draws = Prepared([EVEN, MIXED], group("still", 0, 0), group("new", 0, 1), group("unused", 1, 0))
    source, objective = source_of(draws, zero_variance="refill", refill_rounds=3)
    assert learned(source, objective) == ["mixed", "mixed", "new", "new"]
    assert draws.asked == [
        (0, {"math": 1}, ["even", "mixed"]),
        (1, {"math": 1}, ["even", "mixed", "still"]),
    ]
    assert source.metrics() == {"groups_refilled": 2.0}
    assert source.tokens == 8, "what was sampled in vain counts too"


def test_the_bound_ends_the_sampling_and_the_step_learns_from_what_there_is():
    draws = Prepared([EVEN, MIXED], group("still", 0, 0), group("new", 0, 1))
    assert learned(*source_of(draws, zero_variance="refill", refill_rounds=1)) == ["mixed"] * 2
    assert len(draws.asked) == 1


def test_each_domain_is_refilled_with_its_own_prompts():
    other = group("flat", 0, 0, domain="code")
    draws = Prepared([EVEN, other], group("new", 0, 1, domain="code"), group("last", 1, 0))
    source, objective = source_of(draws, zero_variance="refill", refill_rounds=2)
    assert learned(source, objective) == ["new", "new", "last", "last"]
    assert [asked for _, asked, _ in draws.asked] == [{"math": 1, "code": 1}, {"math": 1}]


def truncated(item):
    return replace(item, truncated=True)


def test_truncated_rollouts_count_in_their_group_but_not_in_the_loss():
    one, other = group("p", 1, 0)
    source, objective = source_of(Prepared([[one, truncated(other)]]), overlong={"rule": "filter"})
    (item,) = objective.score(source.rollouts(1))
    assert (item.rollout, item.outcome_advantage) == (one, 1.0)
    assert objective.end_step(1)["mechanism/overlong/bound"] == 0.5


def test_a_penalty_grows_over_the_buffer_and_is_whole_where_a_turn_was_cut():
    # The limit is 10 tokens and the buffer 4: 7, 9 and 10 tokens lose a fourth, three and all.
    rollouts = [group(str(n), 1, tokens=n)[0] for n in (5, 7, 9, 10)] + [
        truncated(group("cut", 1, tokens=3)[0])
    ]
    overlong = {"rule": "penalty", "penalty": 2.0, "buffer": 4}
    source, _ = source_of(Prepared([rollouts]), overlong=overlong)
    found = [source.judged(item).reward for item in source.rollouts(1)]
    assert found == pytest.approx([1, 0.5, -0.5, -1, -1])
    assert source.metrics() == {"overlong_penalty": pytest.approx((0.5 + 1.5 + 2 + 2) / 5)}


def test_later_steps_draw_with_their_own_limit():
    early, late = Prepared([EVEN]), Prepared([MIXED])
    draws = StagedDraws([(1, early), (3, late)])
    assert [draws.rollouts(step)[0].prompt.id for step in (1, 2, 3, 4)] == [
        *["even"] * 2,
        *["mixed"] * 2,
    ]


def test_the_cost_is_a_part_of_the_state():
    source, objective = source_of(Prepared([MIXED]))
    objective.score(source.rollouts(1))
    again, other = source_of(Prepared([MIXED]))
    again.load_state(source.state())
    other.load_state(objective.state())
    assert (again.tokens, other.tokens) == (2, 2)
