"""A round's teachers: rung by rung, scored ahead for inner updates, each checked and bound."""

import pytest
import torch

from tasks.model.log_probs import chosen_logits
from tasks.mopd.teacher_pool.hidden_cache import HiddenCache
from tasks.mopd.teachers import StagedTeachers
from tests.support.pool_teachers import batch, opened, teacher
from tests.support.tiny_models import tiny_model

TOKENS, OTHER = batch([5, 6, 7], [8, 9]), batch([9, 8, 7, 6])


@pytest.fixture
def staged(tmp_path):
    """Return two teachers over five steps in two stages; one climbs and one stands still."""
    seeds = {"math": 1, "math, stage 1": 2, "code": 3}
    pool = opened([teacher(tmp_path, name, seed) for name, seed in seeds.items()])
    stages = [{"math": "math, stage 1", "code": "code"}, {"math": "math", "code": "code"}]
    return StagedTeachers(HiddenCache(pool), stages, num_steps=5)


def says(teachers, name, tokens):
    return teachers.logits(name, teachers.hidden(name, tokens))


def test_stages_last_equally_long_and_the_last_takes_what_is_over(staged):
    # 0/5, 2/5, 4/5 are below one; 6/5 and 8/5 are not.
    assert [staged.stage_of(step) for step in range(1, 6)] == [0, 0, 0, 1, 1]
    assert staged.names == ["code", "math"]


@pytest.mark.parametrize(("step", "seed"), [(1, 2), (3, 2), (4, 1), (5, 1)])
def test_a_teacher_is_its_rung_of_the_step(staged, step, seed):
    staged.begin_step(step, [[("math", TOKENS), ("code", TOKENS)]])
    assert torch.equal(says(staged, "math", TOKENS), chosen_logits(tiny_model(seed), TOKENS))
    assert torch.equal(says(staged, "code", TOKENS), chosen_logits(tiny_model(3), TOKENS))


def test_several_updates_are_scored_ahead_and_one_is_not(staged):
    asked = [("code", TOKENS), ("math", OTHER)]
    staged.begin_step(1, [asked])
    says(staged, "math", OTHER)
    assert staged.pool.hits == staged.pool.num_bytes == 0
    staged.begin_step(4, [asked, [("code", OTHER)]])
    states = sum(len(tokens.rows_N) for _, tokens in [*asked, ("code", OTHER)])
    assert staged.pool.num_bytes == states * tiny_model().config.hidden_size * 4
    for name, tokens, seed in (("code", TOKENS, 3), ("math", OTHER, 1), ("code", OTHER, 3)):
        assert torch.equal(says(staged, name, tokens), chosen_logits(tiny_model(seed), tokens))
    assert staged.pool.hits == 3
    # A second look is no look at what is kept.
    staged.rescore("math", OTHER)
    assert staged.pool.hits == 3
