"""The memory of a rank: each phase by hand, from the sizes in tests.support.estimates."""

from dataclasses import replace

import pytest
import torch

from tasks.estimate.memory import LOSS_ELEMENTS, held_all_the_time, peak, phases
from tasks.model.settings import AdapterSettings
from tasks.mopd.losses import exact
from tasks.onpolicy.learner import default_microbatch
from tests.support.estimates import SHAPE, work

WEIGHTS = 6510
"""4500 of three layers, 1000 each of embedding and head, and the last norm's 10."""


def of(phase, given):
    (found,) = (each for each in phases(given) if each.name == phase)
    return found.parts


def test_what_is_held_on_one_rank():
    held = held_all_the_time(work())
    # Of two teachers: a second moment and two first ones, two gradients; with displacements one
    # for each teacher and for decay, and the start of the segment.
    assert held["weights"] == 4 * WEIGHTS
    assert held["moments"] == 4 * WEIGHTS * 3
    assert held["gradients by source"] == 4 * WEIGHTS * 2
    assert held["displacements"] == 4 * WEIGHTS * 4
    assert held["copies to compute with"] == 2 * WEIGHTS
    assert held["teachers"] == 2 * WEIGHTS
    assert sum(held.values()) == (4 * 10 + 2 + 2) * WEIGHTS


def test_ranks_share_what_is_held_but_not_the_teacher():
    held = held_all_the_time(work(num_ranks=4))
    # A quarter, rounded up: 6510 / 4 = 1627.5.
    assert held["weights"] == 4 * 1628
    assert held["displacements"] == 4 * 4 * 1628
    assert held["teachers"] == 2 * WEIGHTS
    assert "copies to compute with" not in held


def test_ranks_may_share_the_teacher_too():
    shared = {"teachers_sharded": True}
    held = held_all_the_time(work(num_ranks=4, load=shared))
    # A quarter of its body, 5510 / 4 rounded up, and its whole head.
    assert held["teachers"] == 2 * (1378 + 1000)
    assert held_all_the_time(work(load=shared))["teachers"] == 2 * WEIGHTS
    parts = of("teacher's pass", work(num_ranks=4, load=shared))
    # Two layers of it are gathered, and its embedding and norm; nothing of the student is there.
    assert parts["teacher, gathered"] == 2 * (2 * 1500 + 1010)
    assert parts["a layer of the teacher"] == 2 * 36 * (3 * 30 + 3 * 10)
    assert "activations" not in parts


def test_a_tied_head_of_a_teacher_is_there_twice_on_a_gpu():
    tied = replace(SHAPE, head=0)
    assert held_all_the_time(work(teachers=(tied,)))["teachers"] == 2 * (5510 + 1000)
    assert held_all_the_time(work(teachers=(tied,), on_gpu=False))["teachers"] == 2 * 5510
    on_device = work(load={"teachers_on_device": True})
    assert held_all_the_time(on_device)["teachers"] == 2 * 2 * WEIGHTS


def test_without_displacements_and_with_adapters_less_is_held():
    assert held_all_the_time(work(ledger={"displacements": False}))["displacements"] == 0
    held = held_all_the_time(work(loop={"adapter": AdapterSettings(rank=2)}, num_ranks=2))
    # 600 numbers of each rank: 1200 trained, 600 here. All weights are frozen, half of them here.
    assert held["weights"] == 4 * 600
    assert held["frozen weights"] == 2 * 3255


def test_a_rank_holds_a_whole_row_of_an_adapters_first_matrix():
    # 200 numbers a row of the first matrices, of which a rank cannot hold half; 400 * 2 / 4 others.
    four = work(loop={"adapter": AdapterSettings(rank=2)}, num_ranks=4)
    assert held_all_the_time(four)["weights"] == 4 * (200 + 200)
    even = work(loop={"adapter": AdapterSettings(rank=4)}, num_ranks=4)
    assert held_all_the_time(even)["weights"] == 4 * 600


def test_activations_without_and_with_checkpointing():
    # Rows of 10 tokens, of which 9 are read and 6 chosen. A GPU has room for 8192 tokens, and the
    # teacher has 16 rollouts: 144 tokens are read, 96 chosen.
    ends = 144 * 10 * 4 + 96 * 10 * 2
    attention = 10 * 2 * (2 + 2) + (20 + 10) * 2 * 2
    network = 4 * 30 * 2
    whole = 144 * (attention + network)
    narrowed = 144 * attention + 96 * network
    assert of("teacher's pass", work())["activations"] == 2 * whole + narrowed + ends
    inputs = 3 * 144 * 10 * 2
    checkpointed = work(loop={"activation_checkpointing": True})
    assert of("teacher's pass", checkpointed)["activations"] == inputs + ends


def test_a_microbatch_holds_at_most_a_teachers_rollouts_on_a_rank():
    assert work().read_tokens == 16 * 9
    assert work(num_ranks=4).read_tokens == 4 * 9
    assert work(loop={"microbatch_tokens": 31}).read_tokens == 3 * 9
    assert work(loop={"microbatch_tokens": 3}).read_tokens == 9
    assert work(loop={"inner_updates": 2}).read_tokens == 8 * 9
    # 16 rollouts of each of two teachers, four at once on each of two ranks: two passes a teacher.
    assert work(loop={"microbatch_tokens": 40}, num_ranks=2).passes == 4


def test_logits_of_a_chunk():
    # 96 tokens, fewer than a chunk of 2^30 / 400: three arrays, and four buffers of all rows.
    assert of("heads and loss", work())["logits of a chunk"] == 4 * 100 * (3 * 96 + 4 * 96)
    # On a CPU 2^27 / 400 = 335,544 tokens are a chunk, and 2^17 / 100 = 1310 rows a buffer.
    large = work(load={"max_new_tokens": 400_000}, loop={"microbatch_tokens": 1}, on_gpu=False)
    assert of("heads and loss", large)["logits of a chunk"] == 400 * (4 * 335_544 + 4 * 1310)
    outcome = work(load={"has_outcome": True})
    assert of("heads and loss", outcome)["logits of a chunk"] == 4 * 100 * (5 * 96 + 4 * 96)


def test_the_head_is_gathered_where_it_is_sharded():
    alone, of_two = of("heads and loss", work()), of("heads and loss", work(num_ranks=2))
    assert "head, gathered" not in alone
    assert alone["head's gradient"] == 2 * 1000
    assert of_two["head, gathered"] == 2 * 1000
    assert of_two["head's gradient"] == (2 + 4) * 1000


def test_backward_ends_with_all_gradients_or_begins_with_all_activations():
    parts = of("backward", work(num_ranks=2, loop={"microbatch_tokens": 1}))
    # One row: the gradients of half the body, 2755 in fp32, are more than its activations.
    running = 2 * 9 * (2 * 30 + 2 * 10)
    whole = 9 * (10 * 2 * 4 + 30 * 4 + 4 * 30 * 2)
    assert parts["activations and gradients"] == 4 * 2755 + whole + running
    assert parts["gathered weights"] == 2 * (2 * 1500 + 1010)
    assert parts["gradients to send"] == 6 * 1500
    many = of("backward", work(num_ranks=2))
    kept = of("teacher's pass", work(num_ranks=2))["activations"]
    assert many["activations and gradients"] == kept + running * 8


def test_sampling_gathers_the_student_and_keeps_every_row():
    parts = of("sampling", work(num_ranks=2))
    # 32 rollouts of 10 tokens on two ranks; keys and values of 10 numbers in three layers.
    assert parts["cache of keys and values"] == 2 * 2 * 3 * 10 * 16 * 10
    assert parts["student, gathered"] == 2 * (WEIGHTS + 1500)
    assert "student, gathered" not in of("sampling", work())
    served = phases(work(load={"servers": 1}))
    assert "sampling" not in [phase.name for phase in served]


def test_the_ledgers_rollout_takes_the_head_and_logits_of_64_tokens_or_a_layer():
    # Six tokens of each of two teachers, and six arrays beside the new logits.
    assert of("ledger's probes", work())["logits"] == 4 * 6 * 100 * (2 + 6)
    long = work(load={"max_new_tokens": 400}, ledger={"displacements": False})
    assert of("ledger's probes", long)["logits"] == 4 * 64 * 100 * (2 + 6)
    # Of two ranks each reads one rollout, and no rank gathers more than the head.
    parts = of("ledger's probes", work(num_ranks=2))
    assert parts["logits"] == 4 * 6 * 100 * (1 + 6)
    assert parts["head, gathered"] == 3 * 2 * 1000
    # A long rollout of a model with few words takes more in a layer: 403 tokens that are read.
    shape = replace(SHAPE, vocabulary=2)
    parts = of(
        "ledger's probes", replace(work(num_ranks=2, load={"max_new_tokens": 400}), student=shape)
    )
    assert parts["a layer"] == 2 * 403 * (3 * 30 + 3 * 10)
    assert parts["gathered weights"] == 2 * (2 * 1500 + 1010)


def test_closing_a_segment_on_a_cpu_holds_the_parts_of_one_parameter():
    parts = of("writing a segment", work(on_gpu=False))
    # Of the largest parameter: two sources, decay and rounding, and three arrays to pack them.
    assert parts["a parameter's parts"] == 4 * 1000 * (4 + 3)
    # Of two ranks the parts are copies, and once more in one piece. 64 tokens of two teachers.
    of_two = of("writing a segment", work(on_gpu=False, num_ranks=2))
    assert of_two["a parameter's parts"] == 4 * 1000 * (8 + 3)
    assert parts["rounding"] == 4 * WEIGHTS
    assert parts["kept logits of teachers"] == 2 * 4 * 64 * 2 * 100


def test_the_peak_is_the_largest_phase():
    found = {phase.name: phase.total for phase in phases(work())}
    assert peak(work()).total == max(found.values())
    assert set(found) == {
        *("sampling", "teacher's pass", "heads and loss", "backward", "update"),
        *("ledger's probes", "writing a segment"),
    }
    replayed = {phase.name for phase in phases(work(ledger={"displacements": False}))}
    assert set(found) - replayed == {"writing a segment"}


def test_norms_on_a_cpu_keep_more_in_bf16():
    on_cpu = of("teacher's pass", work(on_gpu=False))["activations"]
    on_gpu = of("teacher's pass", work())["activations"]
    # 4 bytes more a number: of two norms in each of three layers, and of the last norm. Keys and
    # values are repeated, which keeps 20 numbers of each in the place of 10.
    assert on_cpu - on_gpu == 144 * (10 * 4 * 7 + 3 * 10 * 2 * 2)


@pytest.mark.parametrize("on_gpu", [True, False])
def test_the_sizes_are_those_of_the_code(on_gpu):
    elements = exact._DEVICE_ELEMENTS if on_gpu else exact._CPU_ELEMENTS
    assert LOSS_ELEMENTS[on_gpu] == elements
    device = torch.device("cuda" if on_gpu else "cpu")
    room = default_microbatch(device)
    assert work(load={"prompts_per_domain": 10_000}, on_gpu=on_gpu).rows == room // 10
