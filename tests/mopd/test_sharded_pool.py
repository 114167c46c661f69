"""Sharded teachers on a group of one rank; ``test_sharded_teachers`` has several."""

import pytest
import torch
import torch.distributed as dist

from tasks.model.log_probs import chosen_logits
from tasks.mopd.settings import TeacherPlacement
from tasks.mopd.teacher_pool import sharded_pool
from tasks.mopd.teacher_pool.sharded_pool import LockstepCache, open_sharded_teachers
from tests.support.pool_teachers import (
    ON_DISK,
    answers,
    batch,
    change_weights,
    of_folder,
    replaced,
    saved,
    teacher,
)
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model

TOKENS, OTHER = batch([5, 6, 7, 8], [9, 10]), batch([9, 8, 7])
SETTINGS = replaced(ON_DISK, placement=TeacherPlacement.SHARDED)


@pytest.fixture(autouse=True)
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def held(pool):
    """Return the bytes of each architecture's shards."""
    modules = {id(teacher.template): teacher.template for teacher in pool._teachers.values()}
    return [sum(s.nbytes() for s, _ in module._storages) for module in modules.values()]


def test_answers_are_the_models_and_one_teacher_is_held(tmp_path):
    sources = [teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 1)]
    sources.append(teacher(tmp_path, "wide", 2, hidden_size=24))
    models = {"a": tiny_model(0), "b": tiny_model(1), "wide": tiny_model(2, hidden_size=24)}
    pool = open_sharded_teachers(sources, SETTINGS)
    for name in ("a", "b", "wide", "a", "wide"):
        with torch.no_grad():
            assert torch.equal(answers(pool, name, TOKENS), chosen_logits(models[name], TOKENS))
        assert sorted(bool(size) for size in held(pool)) == [False, True]


def test_a_head_is_another_teachers_before_and_after(tmp_path):
    pool = open_sharded_teachers([teacher(tmp_path, n, s) for s, n in enumerate("ab")], SETTINGS)
    hidden = {name: pool.hidden(name, TOKENS) for name in "ab"}
    loads = pool.counts.loads
    for seed, name in enumerate("ab"):
        with torch.no_grad():
            expected = chosen_logits(tiny_model(seed), TOKENS)
        assert torch.equal(pool.logits(name, hidden[name]), expected)
    assert pool.counts.loads == loads


def test_a_microbatch_is_read_only_if_all_ranks_know_of_it(tmp_path):
    cache = LockstepCache(open_sharded_teachers([teacher(tmp_path, "a", 0)], SETTINGS))
    cache.score_ahead([("a", TOKENS)], again=[("a", OTHER)])
    assert torch.equal(cache.hidden("a", TOKENS), cache.anew("a", OTHER)) is False
    assert cache.num_bytes == len(TOKENS.rows_N) * 16 * 4
    for read, tokens in ((cache.hidden, OTHER), (cache.anew, TOKENS)):
        with pytest.raises(RuntimeError, match="'a'"):
            read("a", tokens)
    cache.score_ahead([])
    with pytest.raises(RuntimeError, match="'a'"):
        cache.hidden("a", TOKENS)


def test_a_rank_joins_the_passes_of_another(tmp_path, monkeypatch):
    sources = [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]
    cache = LockstepCache(open_sharded_teachers(sources, SETTINGS))
    order, passes = cache._order, []
    monkeypatch.setattr(sharded_pool, "exchange_json", lambda own: [own, {"a": 2, "b": 1, "c": 0}])
    hidden = cache._pool.hidden
    monkeypatch.setattr(
        cache._pool,
        "hidden",
        lambda name, tokens: (
            passes.append((name, tuple(tokens.ids_BS.shape))) or hidden(name, tokens)
        ),
    )
    cache.score_ahead([("a", TOKENS), ("c", OTHER)])
    expected = {"a": [("a", (2, 4)), ("a", (1, 2))], "b": [("b", (1, 2))], "c": [("c", (1, 3))]}
    assert passes == [one for name in order for one in expected[name]]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"model__norm__weight": torch.full((16,), float("nan"))}, "not-finite"),
        ({"model__layers__0__mlp__up_proj__weight": None}, "missing-weights"),
    ],
)
def test_a_damaged_teacher_is_refused_by_name(tmp_path, changed, code):
    folder = saved(tiny_model(), tmp_path / "model")
    change_weights(folder, **changed)
    with refused(code, "'math'"):
        open_sharded_teachers([of_folder("math", folder)], SETTINGS)


def test_another_vocabulary_is_refused(tmp_path):
    settings = replaced(SETTINGS, vocabulary_size=281)
    with refused("other-vocabulary", "'a'"):
        open_sharded_teachers([teacher(tmp_path, "a", 0)], settings)
