"""The device slot that copies to a device: one body and one head, fetched while others compute.

It runs here with the host as its device. Only the CUDA copy stream has a stream and pinned memory.
"""

import threading

import pytest
import torch

from tasks.model.log_probs import chosen_logits
from tasks.mopd.teacher_pool.device import CopySlot, CudaCopyStream, PoolCounts
from tasks.mopd.teacher_pool.pool import TeacherPool
from tasks.mopd.teacher_pool.weights import FileWeights, MemoryWeights
from tests.support.pool_teachers import (
    CPU,
    ON_DISK,
    answers,
    batch,
    mapped_files,
    opened,
    replaced,
    teacher,
)
from tests.support.tiny_models import tiny_model

TOKENS = batch([5, 6, 7, 8], [9, 10])


class HostCopyStream:
    """Copies within host memory: the work is done when its call returns."""

    def mark(self):
        return None

    def keep_alive(self, tensors):
        """Nothing else uses the memory."""

    def copy(self, pairs, free):
        for target, source in pairs:
            target.copy_(source)
        return free

    def wait(self, done):
        """The copies are done."""


def copying(sources, weight_source=None, stream=None, device=CPU):
    """Return a pool that copies, beside the one that it took its opened teachers from."""
    views = opened(sources)
    counts = PoolCounts()
    slot = CopySlot(weight_source or FileWeights(), device, stream or HostCopyStream(), counts)
    return TeacherPool(views._teachers, slot, ON_DISK, counts, views.memory), slot


def expected(seed, **changed):
    with torch.no_grad():
        return chosen_logits(tiny_model(seed, **changed), TOKENS)


@pytest.fixture
def sources(tmp_path):
    return [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]


@pytest.mark.parametrize("order", ["aabbcc", "abcabc", "aacba"])
@pytest.mark.parametrize("kept", [False, True])
def test_copies_answer_as_the_models_do(sources, order, kept):
    weight_source = None
    if kept:
        weight_source = MemoryWeights(list(opened(sources)._teachers.values()), torch.clone)
    pool, _ = copying(sources, weight_source)
    pool.expect(order)
    for name in order:
        assert torch.equal(answers(pool, name, TOKENS), expected("abc".index(name)))


def test_the_next_body_is_copied_once_the_last_is_done_and_its_head_still_answers(sources):
    pool, slot = copying(sources)
    pool.expect("aab")
    pool.hidden("a", TOKENS)
    assert slot._body.digest == sources[0].digest  # asked once more, so it stays
    hidden = pool.hidden("a", TOKENS)
    assert slot._body.digest == sources[1].digest
    slot._body.arriving.result()
    assert torch.equal(pool.logits("a", hidden), expected(0))
    assert pool.counts.loads == 2
    assert torch.equal(answers(pool, "b", TOKENS), expected(1))
    taken = pool.counts.take()
    assert taken["pool/loads"] == 2
    assert taken["pool/prefetch_hits"] == 1


def test_there_is_room_for_one_body_and_one_head(sources, tmp_path):
    pool, slot = copying(sources)
    pool.expect("abc")
    template = pool._teachers["a"].template
    buffers = set()
    for name in "abc":
        answers(pool, name, TOKENS)
        weights = [*slot._body.weights.values(), *slot._head.weights.values()]
        buffers.add(tuple(tensor.data_ptr() for tensor in weights))
    assert len(buffers) == 1
    assert len(slot._body.weights) == len(template.body_names)
    assert [*slot._head.weights] == ["lm_head.weight"]
    assert mapped_files(tmp_path) == []


def test_the_room_of_another_architecture_is_given_back(tmp_path, sources):
    wide = teacher(tmp_path, "wide", 3, hidden_size=24)
    pool, slot = copying([*sources, wide])
    order = ["a", "wide", "b", "wide"]
    pool.expect(order)
    for name in order:
        pool.hidden(name, TOKENS)
        changed = {"hidden_size": 24} if name == "wide" else {}
        seed = {"a": 0, "b": 1, "wide": 3}[name]
        assert torch.equal(answers(pool, name, TOKENS), expected(seed, **changed))
    assert {t.shape[-1] for t in slot._body.weights.values()} & {24}
    left = pool._teachers["a"].template.model.parameters()
    assert all(parameter.is_meta for parameter in left)


def test_a_head_can_be_had_without_its_body(sources):
    pool, slot = copying(sources)
    hidden = {name: pool.hidden(name, TOKENS) for name in "abc"}
    for name in "bca":
        assert torch.equal(pool.logits(name, hidden[name]), expected("abc".index(name)))
        assert slot._body.digest == sources[2].digest


def test_an_error_in_a_copy_reaches_who_waits_for_it(sources):
    class Broken(FileWeights):
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
    weight_source = None
    if pinned:
        weight_source = MemoryWeights(
            list(opened(sources)._teachers.values()), torch.Tensor.pin_memory
        )
    views = opened(sources, device=device)
    counts = PoolCounts()
    slot = CopySlot(weight_source or FileWeights(), device, CudaCopyStream(device), counts)
    pool = TeacherPool(
        views._teachers, slot, replaced(ON_DISK, device=device), counts, views.memory
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
