"""What ranks receive, how long a step takes, what is stored: by hand."""

import pytest

from tasks.estimate.host import host_phases, ledger_bytes, stored_in_all
from tasks.estimate.traffic import UTILIZATION, operations_of_learning, step_time, traffic
from tasks.model.settings import AdapterSettings
from tasks.platform.gpus import Gpu
from tests.support.estimates import work

GPU = Gpu(
    memory=1 << 30,
    operations_per_second=1e6,
    memory_bytes_per_second=1e5,
    node_bytes_per_second=1e4,
    network_bytes_per_second=1e3,
)


def test_one_rank_receives_nothing():
    assert traffic(work()).total == 0


def test_what_one_of_two_ranks_receives():
    found = traffic(work(num_ranks=2))
    # Two teachers, one pass each. Half of: the body forward and backward and the head, in bf16;
    # their gradients in fp32; the student to sample and for the ledger; 7 parts and weights
    # (two teachers, decay, rounding, start and twice the end) every ten steps.
    assert found.weights == 2 * 2 * (2 * 5510 + 1000) / 2
    assert found.gradients == 2 * 4 * 6510 / 2
    assert found.students == 2 * 6510 * 2 / 2
    assert found.segments == 4 * 6510 * 7 / 10 / 2
    assert found.teachers == 0
    assert found.total == sum(vars(found).values())
    shared = traffic(work(num_ranks=2, load={"teachers_sharded": True}))
    # Each teacher's body once for each of its microbatches, in the precision of its files.
    assert shared.teachers == 2 * 2 * 5510 / 2
    assert shared.total == found.total + shared.teachers


def test_a_source_beside_the_teacher_takes_one_more_pass_backward():
    more = traffic(work(num_ranks=2, load={"has_outcome": True}))
    assert more.weights == 2 * 2 * (3 * 5510 + 1000) / 2
    assert more.gradients == 2 * 4 * 6510 * 2 / 2


def test_adapters_send_their_own_gradients_alone():
    adapted = traffic(work(num_ranks=2, loop={"adapter": AdapterSettings(rank=1)}))
    assert adapted.gradients == 2 * 4 * 600 / 2


def test_operations_of_learning():
    # 2 forward and 4 backward of the student, 2 of the teacher; 2 more if computed again, 4 more
    # for a second source.
    assert operations_of_learning(work(), 10) == 10 * 8 * 6510
    again = work(loop={"activation_checkpointing": True})
    assert operations_of_learning(again, 10) == 10 * 10 * 6510
    outcome = work(load={"has_outcome": True})
    assert operations_of_learning(outcome, 10) == 10 * 12 * 6510


def test_sampling_waits_for_memory_or_for_operations():
    speed = UTILIZATION * GPU.operations_per_second
    # 32 rollouts of 10 tokens on a rank: 2 operations a parameter and token take longer.
    assert step_time(work(), GPU).sampling == pytest.approx(2 * 6510 * 320 / speed)
    slow = Gpu(**{**vars(GPU), "memory_bytes_per_second": 1.0})
    # Six times all weights, and the half full cache of 32 rows: 2 x 3 x 10 x 10 numbers each.
    read = 2 * (6510 + 32 * 2 * 3 * 10 * 10 / 2)
    assert step_time(work(), slow).sampling == pytest.approx(6 * read)
    assert step_time(work(load={"samples_here": False}), slow).sampling == 0


def test_more_nodes_talk_over_the_network():
    received = traffic(work(num_ranks=4)).total
    assert step_time(work(num_ranks=4), GPU).network == pytest.approx(received / 1e4)
    received = traffic(work(num_ranks=8)).total
    assert step_time(work(num_ranks=8), GPU).network == pytest.approx(received / 1e3)
    time = step_time(work(num_ranks=8), GPU)
    assert time.total == time.sampling + time.learning + time.network


def test_the_host_loads_the_student_once_a_rank():
    found = {phase.name: phase.total for phase in host_phases(work(num_ranks=8))}
    # Four ranks a node, in fp32.
    assert found["loading"] == 4 * 4 * 6510
    # Masters, three moments, four displacements; of a segment two sources, decay, rounding, both
    # weights, and twice what is packed: 3.5 bytes for each source and half a byte for the rest.
    assert found["saving a state"] == 4 * 6510 * 8
    assert found["closing a segment"] == 4 * 6510 * 6 + 2 * 6510 * 7.5
    pinned = {p.name: p.total for p in host_phases(work(load={"teachers_in_host_memory": True}))}
    assert pinned["loading"] == (4 + 2 * 2) * 6510


def test_a_ledger_and_all_that_is_stored():
    # 20 steps are two segments of two sources.
    assert ledger_bytes(work()) == 2 * (2 * 3.5 + 0.5) * 6510
    # One round: its ledger, its student, and a state of weights, second and two first moments.
    assert stored_in_all(work()) == 2 * 7.5 * 6510 + 4 * 6510 * (1 + 4)
    controls = work(load={"merged_controls": 2, "trained_controls": 1, "rounds": 2})
    assert stored_in_all(controls) == 2 * 2 * 7.5 * 6510 + 4 * 6510 * (2 + 3 + 4)
