"""What fits, what is refused, and the nearest layout that does."""

from dataclasses import replace

import pytest

from tasks.estimate.layouts import RESERVED, layouts, limits_of, nearest, refuse_too_large
from tasks.estimate.memory import peak
from tasks.model.settings import Precision
from tasks.platform.gpus import GPUS
from tasks.platform.resources import load_flavor
from tests.support.estimates import fit, work
from tests.support.refused import refused

H100 = load_flavor("h100")


def test_the_limits_are_the_flavors():
    limits = limits_of(H100)
    assert limits.device == GPUS["nvidia-h100"].memory - RESERVED
    assert limits.host == 1200 << 30
    assert limits.shared == 256 << 30
    cpu = limits_of(load_flavor("cpu"))
    assert cpu.device == cpu.host == 3 << 30
    assert cpu.shared is None


def test_a_round_that_fits_is_left_alone():
    exactly = peak(work()).total
    refuse_too_large(fit(exactly), H100)
    assert nearest(fit(exactly), H100).words == ""
    with refused("memory-too-small", "a flavor"):
        refuse_too_large(fit(exactly - 1), H100)


def test_what_costs_time_alone_comes_before_more_machines():
    checkpointed = peak(work(loop={"activation_checkpointing": True})).total
    assert checkpointed < peak(work()).total
    found = nearest(fit(checkpointed), H100)
    # Half the rows of a microbatch take about as long; computing again takes a third more.
    assert found.words == "loop.microbatch_tokens=80"
    # With one row the closing of a segment takes the most, and to compute again saves nothing.
    one_row = {"microbatch_tokens": 10}
    least = peak(work(loop=one_row))
    assert least.name == "writing a segment"
    assert peak(work(loop={**one_row, "activation_checkpointing": True})).total == least.total


def test_the_nearest_layout_is_named_and_fits():
    room = peak(work(num_ranks=4, loop={"microbatch_tokens": 1})).total
    found = nearest(fit(room), None)
    assert found.fit.peak.total <= room
    closer = [each for each in layouts(fit(room), None) if each.cost < found.cost]
    assert closer
    assert all(each.fit.missing for each in closer)
    with refused("memory-too-small", found.words.split(", ")[0]):
        refuse_too_large(fit(room), None)


def test_where_nothing_fits_smaller_models_are_the_advice():
    assert nearest(fit(1), None) is None
    with refused("memory-too-small", "smaller models", "1 ranks"):
        refuse_too_large(fit(1), None)


def test_a_host_that_is_too_small_is_named():
    (missing,) = fit(1 << 40, host=1).missing
    assert "a node's memory" in missing
    on_cpu = fit(1 << 40, host=1, on_gpu=False)
    assert on_cpu.missing == []


def test_too_little_shared_memory_is_named():
    load = {"servers": 1, "weights_in_memory": True}
    plenty = fit(1 << 40, load=load)
    assert plenty.missing == []
    # Two copies of 6,510 weights in bf16.
    assert replace(plenty, limits=replace(plenty.limits, shared=26_040)).missing == []
    (missing,) = replace(plenty, limits=replace(plenty.limits, shared=26_039)).missing
    assert "shared memory" in missing
    # Nothing is needed where the folder is on a disk.
    on_disk = fit(1 << 40, load={"servers": 1})
    assert replace(on_disk, limits=replace(on_disk.limits, shared=0)).missing == []


def test_larger_gpus_are_another_layout():
    limits = {each.fit.limits.name for each in layouts(fit(1), H100)}
    assert limits == {"a flavor", "h200"}
    assert {each.fit.limits.name for each in layouts(fit(1), load_flavor("h200"))} == {"a flavor"}


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("ledger_displacements", {"ledger": {"displacements": False}}),
        ("student_precision", {}),
        ("activation_checkpointing", {"loop": {"activation_checkpointing": True}}),
        ("ranks", {"on_gpu": False}),
        ("placement=sharded", {"load": {"teachers_sharded": True}}),
    ],
)
def test_what_is_so_already_is_not_advised(word, given):
    assert not any(word in each.words for each in layouts(fit(1, **given), None))


@pytest.mark.parametrize(
    ("per_node", "words"),
    [
        (1, "2 ranks (a flavor with gpus = 1, nodes = 2"),
        (8, "16 ranks (a flavor with gpus = 8, nodes = 2"),
    ],
)
def test_more_ranks_are_advised_as_a_launch_gets_them(per_node, words):
    """A launch has no option for ranks: its flavor says how many there are."""
    asked = fit(1, num_ranks=per_node, ranks_per_node=per_node)
    found = [each for each in layouts(asked, None) if each.fit.work.num_ranks == 2 * per_node]
    assert any(words in each.words for each in found)
    assert not any("--ranks" in each.words for each in layouts(asked, None))


def test_fp32_may_become_bf16():
    words = [each.words for each in layouts(fit(1, loop={"precision": Precision.FP32}), None)]
    assert any("student_precision=bf16" in each for each in words)
