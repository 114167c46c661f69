"""Measured peaks of the real step on a CPU, for the estimate of a rank's memory to agree with.

Each case runs in a process of its own, or in one for each rank, forked from one that has imported
everything. What that holds is subtracted from the largest resident memory of sampling, of learning,
and of the step that closes a segment. glibc gives each tensor pages of its own and takes them back
at once, so that what tensors hold is measured, and not what an allocator keeps.

``tests/estimate/test_measured.py`` compares the estimate with the result.

    python -m benchmarks.step memory
"""

import ctypes
import gc
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from transformers import AutoConfig

from benchmarks.common.process import resident
from benchmarks.common.results import Row
from benchmarks.step.case import Case, Scene
from benchmarks.step.ours import Ours, loop_settings
from tasks.estimate.memory import phases
from tasks.estimate.shape import shape_of
from tasks.estimate.work import RankWork
from tasks.ledger.schema import LedgerSettings
from tasks.onpolicy.distributed.sharding import replica
from tasks.onpolicy.settings import Workload
from tasks.platform.ranks import joined_ranks

MIB = 1 << 20
_MMAP_THRESHOLD, _PAGES = -3, 1 << 16
"""glibc's M_MMAP_THRESHOLD, and the bytes from which an allocation has pages of its own."""
_SAMPLING, _CLOSING, _LEARNING = "sampling", "writing a segment", "learning"


@dataclass(frozen=True)
class MeasuredCase:
    """A step, with what its ledger keeps."""

    case: Case
    displacements: bool = True
    num_ranks: int = 1
    """Number of processes that train together; sampling is not measured of several."""


_BASE = Case(
    hidden_size=384,
    num_layers=6,
    num_heads=6,
    num_key_value_heads=2,
    head_size=64,
    feed_forward_size=1152,
    vocabulary_size=8192,
    rollouts=16,
    new_tokens=40,
    num_teachers=2,
)
"""13 million weights."""
_LONG = replace(_BASE, num_layers=4, new_tokens=240, microbatch_tokens=4096)
CASES: Mapping[str, MeasuredCase] = {
    "two teachers": MeasuredCase(_BASE),
    "long rows, no displacements": MeasuredCase(_LONG, displacements=False),
    "long rows, computed again": MeasuredCase(replace(_LONG, checkpointing=True)),
    "four teachers, a large vocabulary": MeasuredCase(
        replace(_BASE, num_layers=2, hidden_size=128, vocabulary_size=65_536, num_teachers=4)
    ),
    "adapters": MeasuredCase(replace(_LONG, lora_rank=16)),
    "two ranks": MeasuredCase(_LONG, num_ranks=2),
}


def measured_peaks(cases: Sequence[str] = tuple(CASES)) -> Row:
    """Return of some cases the measured bytes by phase."""
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _PAGES)
    return {name: _in_forks(CASES[name]) for name in cases}


def _in_forks(measured_case: MeasuredCase) -> Row:
    """Return the row of the rank that takes the most."""
    count, port = measured_case.num_ranks, _free_port()
    with ProcessPoolExecutor(count, mp_context=get_context("fork")) as executor:
        asked = [executor.submit(_on_rank, measured_case, own, port) for own in range(count)]
        return max((each.result() for each in asked), key=lambda row: max(row["bytes"].values()))


def _on_rank(measured_case: MeasuredCase, own: int, port: int) -> Row:
    if measured_case.num_ranks == 1:
        return measured(measured_case)
    count = str(measured_case.num_ranks)
    os.environ |= {"RANK": str(own), "LOCAL_RANK": str(own), "MASTER_PORT": str(port)}
    os.environ |= {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1"}
    with joined_ranks():
        return measured(measured_case)


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def measured(measured_case: MeasuredCase) -> Row:
    """Return what a case takes."""
    case, kept = measured_case.case, measured_case.displacements
    before = _resident_now()
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(
            Scene(case),
            ledger=Path(folder, "ledger") if kept else None,
            ledger_settings=LedgerSettings(segment_steps=2),
        )
        _forget_peak()
        with replica(ours.student):
            rollouts = ours.source.rollouts(1)
        found = {_SAMPLING: _peak() - before} if measured_case.num_ranks == 1 else {}
        _forget_peak()
        ours.learn(rollouts)
        found[_LEARNING] = _peak() - before
        if kept:
            _forget_peak()
            ours.learn(rollouts)
            found[_CLOSING] = _peak() - before
    return {
        "case": asdict(case),
        "displacements": kept,
        "num_ranks": measured_case.num_ranks,
        "prompt_tokens": max(len(rollout.ids) for rollout in rollouts) - case.new_tokens,
        "bytes": found,
    }


def estimated(row: Row) -> dict[str, int]:
    """Return what the estimate says of a measured case, by the phases that were measured.

    A phase that has another name since it was measured is left out: it takes something else now.
    """
    found = {phase.name: phase.total for phase in phases(work_of(row))}
    others = (size for name, size in found.items() if name not in {_SAMPLING, _CLOSING})
    found[_LEARNING] = max(others)
    return {name: found[name] for name in row["bytes"] if name in found}


def estimated_on_gpu(row: Row) -> dict[str, float]:
    """Return what the estimate says of a size of ``benchmarks.step.sizes``, in GiB as measured.

    A segment that no step fills is not closed.
    """
    case = row["case"]
    prompts = -(-(row["tokens"] - row["new_tokens"]) // case["rollouts"])
    found = {}
    for name, kept in (("peak_gib", False), ("ledger", True)):
        work = work_of({"case": case, "displacements": kept, "prompt_tokens": prompts})
        sizes = [phase.total for phase in phases(work) if phase.name != _CLOSING]
        found[name] = max(sizes) / (1 << 30)
    return found


def work_of(row: Row) -> RankWork:
    """Return what the estimate takes for a measured case."""
    case = Case(**row["case"])
    config = AutoConfig.for_model(
        "qwen3",
        vocab_size=case.vocabulary_size,
        hidden_size=case.hidden_size,
        intermediate_size=case.feed_forward_size,
        num_hidden_layers=case.num_layers,
        num_attention_heads=case.num_heads,
        num_key_value_heads=case.num_key_value_heads,
        head_dim=case.head_size,
        tie_word_embeddings=True,
        dtype=case.precision,
    )
    load = Workload(
        loop=loop_settings(case),
        ledger=LedgerSettings(displacements=row["displacements"]),
        rounds=1,
        prompts_per_domain=case.rollouts // case.num_teachers,
        rollouts_per_prompt=1,
        max_new_tokens=case.new_tokens,
        has_outcome=False,
        teachers_on_device=True,
    )
    shape = shape_of(config, "student")
    return RankWork(
        student=shape,
        teachers=(shape,) * case.num_teachers,
        load=load,
        num_ranks=row.get("num_ranks", 1),
        ranks_per_node=row.get("num_ranks", 1),
        on_gpu=case.device == "cuda",
        prompt_tokens=row["prompt_tokens"],
        domains=case.num_teachers,
    )


def _resident_now() -> int:
    return sum(resident()[kind] for kind in ("anonymous", "file_backed"))


def _peak() -> int:
    return resident()["peak"]


def _forget_peak() -> None:
    """Let the kernel count the largest resident memory from here."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
