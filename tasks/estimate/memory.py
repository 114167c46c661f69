"""The memory of one rank through a step, phase by phase: arithmetic alone.

What is held all the time is fp32: masters, second moment, and for each source a gradient, a first
moment and, with displacements, its part of the segment. Several ranks share it evenly (FSDP). On
top comes what a phase takes, and the peak is that of the largest phase:

    sampling            the whole student gathered on the rank, the cache of keys and values
    teacher's pass      what the student's layers keep for backward, one layer of the teacher
    heads and loss      the same, the whole head, logits of a chunk of tokens
    backward            the same at its first layer; at its last one all gradients
    update              the temporaries of a block of weights
    ledger's probes     one rollout in one layer, or the whole head and its logits
    writing a segment   the rounding, and one parameter whole

Activations are those of a layer with attention by a fused kernel and a gated feed-forward network
of width I. With T tokens, hidden width D, widths Q and K of all query and key heads, and c bytes a
number, such a layer keeps for backward

    4 T I c  + T D (2 c + 2 n)  + T Q (2 c + m)  + T K (2 c + m)

n is what a norm keeps beside its output, and m the same for norms of heads, 0 without. With
activation checkpointing a layer keeps its input, T D c, and the rest for one layer at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.estimate.ledger_phases import FP32, closing, gathered_blocks, kept_logits, probed
from tasks.estimate.shape import Shape
from tasks.estimate.work import RankWork
from tasks.ledger.estimate import held_numbers
from tasks.ledger.source_gradients import block_elements
from tasks.model.log_probs import chunk_tokens

SAMPLED_AT_ONCE = 256
"""Rows that one sampler writes at once; a test compares it with ``tasks.rollout.collect``."""
LOSS_ELEMENTS = {True: 1 << 24, False: 1 << 17}
"""Elements of one of the four buffers of an exact divergence, on a GPU or not; a test compares them
with those of ``tasks.mopd.losses.exact``."""


@dataclass(frozen=True)
class Phase:
    """What one phase of a step holds, in bytes by name."""

    name: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())


def phases(work: RankWork) -> list[Phase]:
    """Return the phases of a step on the rank that holds the most."""
    held = held_all_the_time(work)
    found = [
        Phase("teacher's pass", held | _beside_the_teacher(work) | _teachers_layer(work)),
        Phase("heads and loss", held | kept(work) | _heads(work)),
        Phase("backward", held | _backward(work)),
        Phase("update", held | {"temporaries of a block": 2 * FP32 * _block(work)}),
        Phase("ledger's probes", held | probed(work)),
    ]
    if not work.load.servers:
        found.insert(0, Phase("sampling", held | _gathered(work) | _sampled(work)))
    if work.load.ledger.displacements:
        found.append(Phase("writing a segment", held | closing(work)))
    return found


def peak(work: RankWork) -> Phase:
    """Return the phase that takes the most."""
    return max(phases(work), key=lambda phase: phase.total)


def held_all_the_time(work: RankWork) -> dict[str, int]:
    """Return what a rank holds from the first step to the last."""
    here = work.trained_here
    numbers = held_numbers(work.num_sources, displacements=work.load.ledger.displacements)
    parts = {
        "weights": FP32 * here,
        "moments": FP32 * here * numbers.moments,
        "gradients by source": FP32 * here * numbers.gradients,
        "displacements": FP32 * here * numbers.displacements,
        "teachers": _teachers(work),
    }
    if work.load.loop.adapter is not None:
        parts["frozen weights"] = work.compute_bytes * -(-work.student.total // work.num_ranks)
    elif not work.is_sharded and work.compute_bytes < FP32:
        parts["copies to compute with"] = work.compute_bytes * here
    if not work.on_gpu:
        parts["rollouts"] = work.rollout_bytes
    return parts


def _teachers(work: RankWork) -> int:
    """Return the bytes of teachers' weights on the device.

    On a GPU, head and body have buffers of their own, so a tied head is there twice. Where ranks
    share a teacher, each has its whole head.
    """
    if work.load.teachers_on_device:
        return sum(teacher.saved_bytes * teacher.total for teacher in work.teachers)
    largest = work.largest_teacher
    if work.shares_teachers:
        head = largest.vocabulary * largest.hidden
        return largest.saved_bytes * (-(-largest.body // work.num_ranks) + head)
    twice = (largest.embedding if not largest.head else 0) if work.on_gpu else 0
    return largest.saved_bytes * (largest.total + twice)


def kept_by_a_layer(shape: Shape, work: RankWork, tokens: int, in_feed_forward: int) -> int:
    """Return the bytes that one layer keeps for backward; its network may read fewer tokens."""
    size, norm = work.compute_bytes, _kept_by_norm(work)
    of_heads = norm * (shape.attended + shape.key_value) if shape.norms_heads else 0
    # A CPU's kernel repeats keys and values for each query head.
    keys = shape.key_value if work.on_gpu else shape.attended
    attention = 2 * (size + norm) * shape.hidden + 2 * size * (shape.attended + keys) + of_heads
    return tokens * attention + in_feed_forward * 4 * shape.feed_forward * size


def _kept_by_norm(work: RankWork) -> int:
    """Return the bytes a number that a norm keeps beside its output.

    On a GPU that is its input. Written by hand, in fp32 on a CPU, it is the scaled input; a model's
    own norm in bf16 keeps the input in fp32 and the scaled input.
    """
    if work.on_gpu or work.compute_bytes == FP32:
        return work.compute_bytes
    return FP32 + work.compute_bytes


def kept(work: RankWork) -> dict[str, int]:
    """Return what the student's forward pass keeps for backward."""
    shape, size, tokens = work.student, work.compute_bytes, work.read_tokens
    ends = (size + _kept_by_norm(work)) * shape.hidden * tokens
    ends += size * shape.hidden * work.chosen_tokens
    if work.load.loop.activation_checkpointing:
        layers = shape.num_layers * tokens * shape.hidden * size
    else:
        whole = kept_by_a_layer(shape, work, tokens, tokens)
        last = kept_by_a_layer(shape, work, tokens, work.chosen_tokens)
        layers = (shape.num_layers - 1) * whole + last
    return {"activations": layers + ends}


def _beside_the_teacher(work: RankWork) -> dict[str, int]:
    """Return what of the student is there while a teacher reads a microbatch.

    Ranks that share a teacher make its passes before the student's.
    """
    if work.shares_teachers:
        return {}
    gathered = gathered_blocks(work.student, work.compute_bytes, 1) if work.is_sharded else 0
    return kept(work) | {"gathered weights": gathered}


def _teachers_layer(work: RankWork) -> dict[str, int]:
    """Return what a layer of the teacher takes while it runs."""
    teacher, tokens = work.largest_teacher, work.read_tokens
    width = 3 * teacher.feed_forward + 3 * teacher.hidden
    parts = {"a layer of the teacher": teacher.saved_bytes * tokens * width}
    if work.shares_teachers:
        parts["teacher, gathered"] = gathered_blocks(teacher, teacher.saved_bytes, 2)
    return parts


def _heads(work: RankWork) -> dict[str, int]:
    """Return what the heads and the loss take for one chunk of tokens."""
    shape, size = work.student, work.compute_bytes
    chosen, extra = work.chosen_tokens, work.extra_sources
    chunk = min(chosen, chunk_tokens(shape.vocabulary, on_gpu=work.on_gpu))
    # Logits of student and teacher, and the divergence's gradient. A further source has a gradient
    # of its own, and the last chunk's targets are let go only after this chunk's loss.
    logits = 3 + 2 * extra + (chosen > chunk)
    rows = min(chunk, max(1, LOSS_ELEMENTS[work.on_gpu] // shape.vocabulary))
    head = shape.vocabulary * shape.hidden
    parts = {
        "logits of a chunk": FP32 * shape.vocabulary * (logits * chunk + 4 * rows),
        "hidden states": shape.hidden
        * chosen
        * (size * (3 + extra) + work.largest_teacher.saved_bytes),
        "kept logits of teachers": kept_logits(work),
    }
    is_trained = work.load.loop.adapter is None
    if work.is_sharded:
        parts["head, gathered"] = size * head
    if is_trained:
        sums = FP32 * (1 + extra) if work.is_sharded else 0
        parts["head's gradient"] = head * (size + sums)
    return parts


def _backward(work: RankWork) -> dict[str, int]:
    """Return what backward takes at its first layer or at its last, whichever is more.

    At the first, all activations are there; at the last, all gradients. A rank's gradients wait in
    fp32 where it holds shards, and else in the precision that the model computes in.
    """
    shape, size, tokens = work.student, work.compute_bytes, work.read_tokens
    whole = kept_by_a_layer(shape, work, tokens, tokens)
    running = size * tokens * (2 * shape.feed_forward + 2 * shape.hidden)
    first = kept(work)["activations"] + running
    if work.load.loop.activation_checkpointing:
        first += whole - size * tokens * shape.hidden
    gradients = _gradients_of_body(work)
    last = gradients + whole + running
    is_trained = work.load.loop.adapter is None
    parts = {"activations and gradients": max(first, last)}
    parts["kept logits of teachers"] = kept_logits(work)
    if work.is_sharded:
        parts["gathered weights"] = gathered_blocks(shape, size, 2)
        if is_trained:
            unit = max(shape.layer, shape.embedding + shape.rest)
            parts["gradients to send"] = (size + FP32) * unit
    return parts


def _gradients_of_body(work: RankWork) -> int:
    """Return the bytes of the gradients that wait at the end of a backward pass."""
    size = FP32 if work.is_sharded else work.compute_bytes
    if work.load.loop.adapter is not None:
        return FP32 * work.trained_here
    return size * -(-work.student.body // work.num_ranks)


def _gathered(work: RankWork) -> dict[str, int]:
    """Return the bytes of the whole student on a rank, and of a layer that is being gathered."""
    if not work.is_sharded:
        return {}
    whole = work.student.total + (0 if work.student.head else work.student.embedding)
    return {"student, gathered": work.compute_bytes * (whole + work.student.layer)}


def _sampled(work: RankWork) -> dict[str, int]:
    """Return what sampling takes: the cache of all rows at their full length, and their logits."""
    shape, size = work.student, work.compute_bytes
    rows = min(work.rollouts_here, SAMPLED_AT_ONCE)
    return {
        "cache of keys and values": 2 * size * shape.num_layers * shape.key_value * rows * work.row,
        "logits of a token": 3 * FP32 * rows * shape.vocabulary,
    }


def _block(work: RankWork) -> int:
    return min(work.trained_here, block_elements(on_gpu=work.on_gpu))
