"""The stage that copies to a device: one body and one head, fetched while others compute.

It runs here with the host as its device; streams and pinned memory are the CUDA lane's alone.
"""

import threading

import pytest
import torch
from pool_teachers import CPU, ON_DISK, answers, batch, mapped_files, opened, replaced, teacher
from tiny_models import tiny_model

from tasks.model.log_probs import chosen_logits
from tasks.mopd.pool.counts import PoolCounts
from tasks.mopd.pool.lane import CudaLane, DirectLane
from tasks.mopd.pool.pool import TeacherPool
from tasks.mopd.pool.shelf import FileShelf, KeptShelf
from tasks.mopd.pool.stage import CopyStage

TOKENS = batch([5, 6, 7, 8], [9, 10])


def copying(sources, shelf=None, lane=None, device=CPU):
    """Return a pool that copies, beside the one that it took its opened teachers from."""
    views = opened(sources)
    counts = PoolCounts()
    stage = CopyStage(shelf or FileShelf(), device, lane or DirectLane(), counts)
    return TeacherPool(views._teachers, stage, ON_DISK, counts, views.memory), stage


def expected(seed, **changed):
    with torch.no_grad():
        return chosen_logits(tiny_model(seed, **changed), TOKENS)


@pytest.fixture
def sources(tmp_path):
    return [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]


@pytest.mark.parametrize("order", ["aabbcc", "abcabc", "aacba"])
@pytest.mark.parametrize("kept", [False, True])
def test_copies_answer_as_the_models_do(sources, order, kept):
    shelf = None
    if kept:
        shelf = KeptShelf(list(opened(sources)._teachers.values()), torch.clone)
    pool, _ = copying(sources, shelf)
    pool.expect(order)
    for name in order:
        assert torch.equal(answers(pool, name, TOKENS), expected("abc".index(name)))


def test_the_next_body_is_copied_once_the_last_is_done_and_its_head_still_answers(sources):
    pool, stage = copying(sources)
    pool.expect("aab")
    pool.hidden("a", TOKENS)
    assert stage._body.digest == sources[0].digest  # asked once more, so it stays
    hidden = pool.hidden("a", TOKENS)
    assert stage._body.digest == sources[1].digest
    stage._body.arriving.result()
    assert torch.equal(pool.logits("a", hidden), expected(0))
    assert pool.counts.loads == 2
    assert torch.equal(answers(pool, "b", TOKENS), expected(1))
    taken = pool.counts.take()
    assert taken["pool/loads"] == 2
    assert taken["pool/prefetch_hits"] == 1


def test_there_is_room_for_one_body_and_one_head(sources, tmp_path):
    pool, stage = copying(sources)
    pool.expect("abc")
    skeleton = pool._teachers["a"].skeleton
    rooms = set()
    for name in "abc":
        answers(pool, name, TOKENS)
        weights = [*stage._body.weights.values(), *stage._head.weights.values()]
        rooms.add(tuple(tensor.data_ptr() for tensor in weights))
    assert len(rooms) == 1
    assert len(stage._body.weights) == len(skeleton.body_names)
    assert [*stage._head.weights] == ["lm_head.weight"]
    assert mapped_files(tmp_path) == []


def test_the_room_of_another_architecture_is_given_back(tmp_path, sources):
    wide = teacher(tmp_path, "wide", 3, hidden_size=24)
    pool, stage = copying([*sources, wide])
    order = ["a", "wide", "b", "wide"]
    pool.expect(order)
    for name in order:
        pool.hidden(name, TOKENS)
        changed = {"hidden_size": 24} if name == "wide" else {}
        seed = {"a": 0, "b": 1, "wide": 3}[name]
        assert torch.equal(answers(pool, name, TOKENS), expected(seed, **changed))
    assert {t.shape[-1] for t in stage._body.weights.values()} & {24}
    left = pool._teachers["a"].skeleton.model.parameters()
    assert all(parameter.is_meta for parameter in left)


def test_a_head_can_be_had_without_its_body(sources):
    pool, stage = copying(sources)
    hidden = {name: pool.hidden(name, TOKENS) for name in "abc"}
    for name in "bca":
        assert torch.equal(pool.logits(name, hidden[name]), expected("abc".index(name)))
        assert stage._body.digest == sources[2].digest


def test_an_error_in_a_copy_reaches_who_waits_for_it(sources):
    class Broken(FileShelf):
        def weights(self, teacher):
            assert threading.current_thread() is not threading.main_thread()
            raise OSError("the disk is gone")

    pool, _ = copying(sources, Broken())
    with pytest.raises(OSError, match="the disk is gone"):
        pool.hidden("a", TOKENS)


@pytest.mark.gpu
@pytest.mark.parametrize("pinned", [False, True])
def test_copies_to_a_cuda_device_answer_as_the_models_do_there(sources, pinned):
    device = torch.device("cuda")
    shelf = None
    if pinned:
        shelf = KeptShelf(list(opened(sources)._teachers.values()), torch.Tensor.pin_memory)
    views = opened(sources, device=device)
    counts = PoolCounts()
    stage = CopyStage(shelf or FileShelf(), device, CudaLane(device), counts)
    pool = TeacherPool(
        views._teachers, stage, replaced(ON_DISK, device=device), counts, views.memory
    )
    order = "aabbccab" * 20
    pool.expect(order)
    tokens = TOKENS.to(device)
    with torch.no_grad():
        wanted = {
            name: chosen_logits(tiny_model(seed).to(device), tokens)
            for seed, name in enumerate("abc")
        }
    for name in order:
        assert torch.equal(answers(pool, name, tokens), wanted[name])
