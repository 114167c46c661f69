"""What ranks receive, how long a step takes, what is stored: by hand."""

from dataclasses import replace

import pytest

from tasks.estimate.host import host_phases, ledger_bytes, shared_bytes, stored_in_all
from tasks.estimate.traffic import (
    UTILIZATION,
    gpus_of_server,
    operations_of_learning,
    step_time,
    step_time_on_cpu,
    traffic,
)
from tasks.estimate.work import TOKEN_BYTES
from tasks.model.settings import AdapterSettings, Precision
from tasks.platform.gpus import Gpu
from tests.support.estimates import SHAPE, work

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
    # their gradients in fp32; the student to sample, and for one rollout of the ledger; 7 parts
    # and weights (two teachers, decay, rounding, start and twice the end) every ten steps.
    assert found.weights == 2 * 2 * (2 * 5510 + 1000) / 2
    assert found.gradients == 2 * 4 * 6510 / 2
    assert found.students == 2 * 6510 * 2 / 2
    assert found.servers == 0
    served = traffic(work(num_ranks=2, load={"servers": 1}))
    # The student again, part by part; and layer by layer, to compare what the server says.
    assert served.servers == 2 * 6510 / 2
    assert served.total == found.total + served.servers
    # Of eight teachers each of two ranks reads four rollouts: the body four times, the head once.
    eight = traffic(replace(work(num_ranks=2), teachers=(SHAPE,) * 8))
    assert eight.students == 2 * (6510 + 4 * 5510 + 1000) / 2
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


def test_servers_sample_side_by_side_on_the_fewest_gpus_that_hold_the_student():
    speed = UTILIZATION * GPU.operations_per_second
    alone = step_time(work(num_ranks=8, load={"servers": 1}), GPU).sampling
    # 32 rollouts of 10 tokens, whatever the number of ranks.
    assert alone == pytest.approx(2 * 6510 * 320 / speed)
    assert step_time(work(load={"servers": 4}), GPU).sampling == pytest.approx(alone / 4)
    # 13,020 bytes of weights; a server may use 0.8 of each GPU for them.
    small = Gpu(**{**vars(GPU), "memory": 8000})
    assert gpus_of_server(work(), GPU) == 1
    assert gpus_of_server(work(), small) == 3
    assert step_time(work(load={"servers": 1}), small).sampling == pytest.approx(alone / 3)


def test_a_step_on_a_cpu_takes_its_operations():
    time = step_time_on_cpu(work(on_gpu=False), 1e6)
    # 32 rollouts of 10 tokens: 2 operations a parameter to sample, 8 to learn and to score.
    assert time.sampling == pytest.approx(2 * 6510 * 320 / 1e6)
    assert time.learning == pytest.approx(8 * 6510 * 320 / 1e6)
    assert time.network == 0
    served = step_time_on_cpu(work(on_gpu=False, load={"servers": 2}), 1e6)
    assert served.sampling == pytest.approx(time.sampling / 2)


def test_more_nodes_talk_over_the_network():
    received = traffic(work(num_ranks=4)).total
    assert step_time(work(num_ranks=4), GPU).network == pytest.approx(received / 1e4)
    received = traffic(work(num_ranks=8)).total
    assert step_time(work(num_ranks=8), GPU).network == pytest.approx(received / 1e3)
    time = step_time(work(num_ranks=8), GPU)
    assert time.total == time.sampling + time.learning + time.network


def test_the_host_holds_one_parameter_or_layer_of_each_rank():
    found = {phase.name: phase.total for phase in host_phases(work(num_ranks=8))}
    # Four ranks a node cast a layer each, in fp32.
    assert found["loading"] == 4 * 4 * 1500
    # Rollouts: a rank has 4 of 10 tokens. The largest parameter: as it is, and twice its four parts
    # with three arrays more.
    rollouts = 4 * 4 * 10 * TOKEN_BYTES
    assert found["saving a state"] == rollouts + 4 * 1000
    assert found["writing a segment"] == rollouts + 4 * 1000 * (2 * 4 + 3)
    replayed = host_phases(work(num_ranks=8, ledger={"displacements": False}))
    assert {p.name: p.total for p in replayed}["keeping the weights"] == rollouts + 2 * 4 * 1000
    # One rank casts the whole student.
    pinned = {p.name: p.total for p in host_phases(work(load={"teachers_in_host_memory": True}))}
    assert pinned["loading"] == (4 + 2 * 2) * 6510


def test_the_servers_weights_are_twice_in_a_hosts_memory():
    load = {"servers": 1, "weights_in_memory": True}
    assert shared_bytes(work(load=load)) == 2 * 2 * 6510
    assert shared_bytes(work(load=load | {"weights_in_memory": False})) == 0
    own, served = (
        {phase.name: phase.total for phase in host_phases(work(num_ranks=2, load=given))}
        for given in ({}, load)
    )
    more = {name: served[name] - size for name, size in own.items()}
    # They come after the loading.
    assert more == dict.fromkeys(own, 2 * 2 * 6510) | {"loading": 0}


def test_the_student_is_saved_whole_by_the_first_rank():
    def saving(**changed):
        [phase] = [p for p in host_phases(work(**changed)) if p.name == "saving the student"]
        return phase.total - phase.parts["rollouts"]

    assert saving() == 0
    assert saving(num_ranks=2) == 4 * 6510
    rounded = {"saved_precision": Precision.BF16}
    assert saving(num_ranks=2, loop=rounded) == (4 + 2) * 6510
    # The base in fp32, and every adapted weight once more.
    adapter = {"adapter": AdapterSettings(rank=2)}
    assert saving(loop=adapter) == 4 * (6510 + 4500)


def test_a_ledger_and_all_that_is_stored():
    # 20 steps are two segments of two sources.
    assert ledger_bytes(work()) == 2 * (2 * 3.5 + 0.5) * 6510
    # One round: its ledger, its student, and a state of weights, second and two first moments.
    assert stored_in_all(work()) == 2 * 7.5 * 6510 + 4 * 6510 * (1 + 4)
    controls = work(load={"merged_controls": 2, "trained_controls": 1, "rounds": 2})
    assert stored_in_all(controls) == 2 * 2 * 7.5 * 6510 + 4 * 6510 * (2 + 3 + 4)
