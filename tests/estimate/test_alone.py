"""The gate and the evaluation have one process: what they take by hand, and the refusal."""

import inspect
import sys
from dataclasses import replace

import pytest

from tasks.estimate.alone import READ_AT_ONCE, Sampled, needs_of, refuse_too_large_alone
from tasks.estimate.layouts import MemoryLimits
from tasks.estimate.memory import SAMPLED_AT_ONCE
from tasks.estimate.work import TOKEN_BYTES
from tasks.gate import reading
from tasks.model.settings import Precision
from tasks.platform.resources import Stage, load_flavor
from tasks.rollout.collect import Player
from tests.support.estimates import SHAPE, work
from tests.support.refused import refused

ROOM = MemoryLimits("a machine", 1 << 40, 1 << 40)


def needs(given=None, limits=ROOM, gate=8, evaluation=20):
    found = needs_of(given or work(), None, limits, Sampled(gate, evaluation))
    return {need.stage: need for need in found}


def test_the_gate_holds_the_student_and_the_largest_teacher_in_their_files_precision():
    larger = replace(SHAPE, layers=9000)
    need = needs(work(teachers=(SHAPE, larger)))[Stage.GATE_PROBE]
    assert need.phase.parts["student"] == 2 * 6510
    assert need.phase.parts["teacher"] == 2 * (6510 + 4500)
    # 4,096 tokens, of which six in ten are responses; seven arrays of logits of 100 words.
    assert need.phase.name == "reading"
    assert need.phase.parts["logits"] == 4 * 7 * 2457 * 100
    assert need.phase.parts["a layer"] == 2 * 4096 * (3 * 30 + 3 * 10)


def test_the_gate_may_take_the_most_while_a_teacher_answers():
    wide = replace(SHAPE, key_value=10_000, vocabulary=2)
    need = needs(replace(work(), student=wide, teachers=(wide,)), gate=8)[Stage.GATE_PROBE]
    assert need.phase.name == "sampling"
    assert need.phase.parts["cache of keys and values"] == 2 * 2 * 3 * 10_000 * 8 * 10
    # At most so many rows at once.
    many = needs(replace(work(), student=wide, teachers=(wide,)), gate=1000)[Stage.GATE_PROBE]
    assert many.phase.parts["cache of keys and values"] == 2 * 2 * 3 * 10_000 * 256 * 10


def test_the_evaluation_holds_the_student_as_it_was_saved():
    parts = needs()[Stage.EVALUATION].phase.parts
    assert parts["student"] == 4 * 6510
    assert parts["cache of keys and values"] == 2 * 4 * 3 * 10 * 20 * 10
    rounded = work(loop={"saved_precision": Precision.BF16})
    assert needs(rounded)[Stage.EVALUATION].phase.parts["student"] == 2 * 6510


def test_without_prompts_the_gate_takes_nothing():
    assert set(needs(gate=0)) == {Stage.EVALUATION}


def test_what_does_not_fit_is_refused():
    found = needs()
    gate, after = (found[stage].phase.total for stage in (Stage.GATE_PROBE, Stage.EVALUATION))
    exactly = MemoryLimits("a machine", gate, after)
    refuse_too_large_alone(list(needs(limits=exactly).values()))
    small = replace(exactly, device=gate - 1)
    with refused("memory-too-small", "gate_probe", "a machine"):
        refuse_too_large_alone(list(needs(limits=small).values()))
    small = replace(exactly, host=after - 1)
    with refused("memory-too-small", "evaluation"):
        refuse_too_large_alone(list(needs(limits=small).values()))


@pytest.mark.parametrize("stage", [Stage.GATE_PROBE, Stage.EVALUATION])
def test_a_flavor_has_limits_for_each_stage(stage):
    found = {n.stage: n for n in needs_of(work(), load_flavor("h100"), ROOM, Sampled(8))}[stage]
    assert found.flavor == "h100"
    # One GPU of 79 GiB less what it keeps; 192 GiB of host memory.
    assert found.limit == (75 if stage is Stage.GATE_PROBE else 192) << 30


def test_the_sizes_are_those_of_the_code():
    assert reading._TOKENS == READ_AT_ONCE
    assert inspect.signature(Player).parameters["batch_size"].default == SAMPLED_AT_ONCE


def test_a_token_of_a_rollout_takes_what_is_counted():
    count, size = 10_000, sys.getsizeof
    ids, flags = tuple(range(1000, 1000 + count)), (True,) * count
    scores = tuple(-float(number) - 0.5 for number in range(count))
    objects = sum(16 * -(-size(each) // 16) for each in (*ids, *scores))  # as Python rounds them
    assert size(ids) + size(flags) + size(scores) + objects == pytest.approx(
        TOKEN_BYTES * count, rel=0.01
    )
