"""The memory that a rank takes for the ledger, beside what it holds all the time: arithmetic alone.

After each step one rollout of each teacher is read again, and every segment is closed.
"""

from tasks.estimate.shape import Shape
from tasks.estimate.work import RankWork
from tasks.ledger.estimate import RunSize

FP32 = 4
PROBED_TOKENS = 64
"""Tokens of each teacher with logits kept through a step, for the ledger's KL."""


def gathered_blocks(shape: Shape, size: int, layers: int) -> int:
    """Return the bytes of gathered weights: some layers, and the body's own, as the embedding."""
    return size * (layers * shape.layer + shape.embedding + shape.rest)


def probed(work: RankWork) -> dict[str, int]:
    """Return what the ledger's KL takes: a pass of one rollout, or the head and logits after it.

    A rank reads its rollouts one after the other, through its shards.
    """
    shape, size, tokens = work.student, work.compute_bytes, work.row - 1
    body = {"a layer": size * tokens * (3 * shape.feed_forward + 3 * shape.hidden)}
    # Of all probes the new logits, and of the one that is compared: the old ones and the targets
    # together, two log-softmaxes, and two arrays of their difference.
    logits = min(PROBED_TOKENS, work.load.max_new_tokens) * shape.vocabulary
    head = {"logits": FP32 * logits * (work.probed_here + 6)}
    begin: dict[str, int] = {}
    if work.is_sharded:
        body["gathered weights"] = gathered_blocks(shape, size, 2)
        # While the first layer is put together, the parts of the embedding are still there.
        begin["gathered weights"] = gathered_blocks(shape, size, 2) + size * shape.embedding
        # While it is put together: the parts of all ranks, the same in one piece, and cut to size.
        head["head, gathered"] = 3 * size * shape.vocabulary * shape.hidden
    most = max((begin, body, head), key=lambda parts: sum(parts.values()))
    return most | {"kept logits of teachers": kept_logits(work)}


def closing(work: RankWork) -> dict[str, int]:
    """Return what closing a segment takes: the rounding, and one parameter whole.

    On a CPU, which is the host too, all parts of a parameter are there at once.
    """
    parts = {"rounding": FP32 * work.trained_here, "kept logits of teachers": kept_logits(work)}
    if work.on_gpu:
        return parts | {"a parameter, whole": 3 * FP32 * work.student.largest}
    return parts | {"a parameter's parts": written_at_once(work)}


def written_at_once(work: RankWork) -> int:
    """Return the host's bytes while a parameter is written: its parts, twice, and its weights.

    The parts are there once more in one piece, to be summed; several ranks' parts come from others.
    """
    largest = min(work.student.largest, work.trained)
    parts = work.num_sources + 2
    return FP32 * largest * ((2 * parts if work.is_sharded else parts) + 3)


def run_size(work: RankWork) -> RunSize:
    """Return the sizes that the optimizer's and the ledger's needs follow from."""
    loop = work.load.loop
    return RunSize(
        num_parameters=work.trained,
        num_sources=work.num_sources,
        extra_sources=work.extra_sources,
        num_steps=loop.num_steps,
        updates_per_step=loop.updates_per_step,
        decays=loop.weight_decay > 0,
    )


def kept_logits(work: RankWork) -> int:
    """Return the bytes of the logits of teachers and student that wait for the step's end."""
    return FP32 * 2 * PROBED_TOKENS * work.probed_here * work.student.vocabulary
