"""Make a run's updates again from the rollouts that its ledger kept; nothing is sampled.

``recompute_displacements``: where a ledger holds no displacements, each segment is learned again
from the weights that it began with. The result is approximate, and its error is a part of its own.

``recompute_without``: the run without some of its teachers. The effect of the others is computed,
not assumed, on the rollouts of a student that had all teachers. It costs less than a retrain.

Shapes: none; weights by name.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lineage.store.scratch import copy_writable
from tasks.contracts.refusal import RefusedError
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import SCHEMA, Segment
from tasks.ledger.segment_file import write_segment
from tasks.ledger.split_adamw import ROUNDING, UNREPLAYED
from tasks.ledger.writer import MANIFEST, ROLLOUTS, ROWS, digest_weights
from tasks.onpolicy.kept_rollouts import KeptRollouts, UncorrectedRollouts
from tasks.onpolicy.learner import Learner
from tasks.platform.progress import report

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class RecomputedSegment:
    """One recomputed segment of a run."""

    segment: Segment
    start: Weights
    """The true weights at its start."""
    parts: Mapping[str, Weights]
    """Each source's recomputed displacement, and ``UNREPLAYED``."""
    end: Weights
    """The true weights at its end."""


def recompute_displacements(
    ledger: Ledger,
    checkpoints: Sequence[Weights],
    learner: Learner,
    kept: KeptRollouts,
    after: int = 0,
) -> Iterator[RecomputedSegment]:
    """Yield each segment of a run, recomputed from its true initial weights.

    The moments continue from segment to segment, as they did in the run.

    Args:
        ledger: Ledger of the run.
        checkpoints: ``segment_boundaries``: the weights at the start of each segment, and the
            student's.
        learner: A learner with ``recompute_settings`` that records; its model is overwritten.
        kept: The run's objective on its kept rollouts, without masked teachers.
        after: The last step of the segments that are done already; the learner has its weights.
    """
    spans = _spans(ledger)
    for (first, last), start, end in zip(spans, checkpoints[:-1], checkpoints[1:], strict=True):
        if last <= after:
            continue
        set_weights(learner, start)
        learner.optimizer.begin_segment()
        for step in range(first, last + 1):
            learner.update(kept, kept.scored(step), step)
            report("replay", step, ledger.manifest.last_step)
        moved = learner.optimizer.segment()
        parts = {
            part: {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}
            for part, tensors in moved.items()
            if part != ROUNDING
        }
        parts[UNREPLAYED] = {
            name: end[name] - start[name] - sum(part[name] for part in parts.values())
            for name in start
        }
        yield RecomputedSegment(_segment(first, last, parts, start, end), start, parts, end)


class RecomputedLedger:
    """A ledger of recomputed displacements that is being written; a part of a training state."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        """Start a ledger in a new folder, beside what ``ledger`` kept."""
        folder.mkdir(parents=True)
        self._ledger, self._folder = ledger, folder
        self._segments: tuple[Segment, ...] = ()

    def add(self, recomputed: RecomputedSegment) -> None:
        """Write a segment."""
        name = f"segment-{len(self._segments) + 1:05d}.safetensors"
        write_segment(self._folder / name, recomputed.parts, recomputed.start, recomputed.end)
        self._segments += (recomputed.segment.model_copy(update={"file": name}),)
        self._write()

    def finish(self) -> None:
        """Copy the run's kept files beside the segments."""
        for name in (ROWS, ROLLOUTS):
            shutil.copyfile(self._ledger.folder / name, self._folder / name)

    def save(self, folder: Path) -> None:
        """Copy the segments so far, for a replay that may be killed."""
        copy_writable(self._folder, folder)

    def load(self, folder: Path) -> None:
        """Continue with the segments that ``save`` copied."""
        copy_writable(folder, self._folder)
        self._segments = Ledger.open(folder).manifest.segments

    def _write(self) -> None:
        update = {"schema_": SCHEMA, "segments": self._segments, "checkpoints": ()}
        manifest = self._ledger.manifest.model_copy(update=update)
        (self._folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), "utf-8")


def segment_boundaries(ledger: Ledger, start: Weights) -> list[Weights]:
    """Return the weights at the start of each segment, and then those of the student.

    Raises:
        ValueError: if the ledger holds neither displacements nor checkpoints.
    """
    weights_at: list[Weights] = [{n: tensor.detach().float() for n, tensor in start.items()}]
    weights_at += [walked.end for walked in ledger.walk(start)]
    weights_at += [ledger.weights(checkpoint) for checkpoint in ledger.manifest.checkpoints]
    if len(weights_at) == 1:
        raise RefusedError(
            "nothing-to-recompute-from",
            f"the ledger in {ledger.folder} holds neither displacements nor checkpoints, so there "
            "is nothing to replay from: it was written by an older version; run the consolidation "
            "again",
        )
    return weights_at


def _spans(ledger: Ledger) -> list[tuple[int, int]]:
    """Return the first and last step of each segment."""
    manifest = ledger.manifest
    ends = [s.last_step for s in manifest.segments] or [c.step for c in manifest.checkpoints]
    return [(a + 1, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


@torch.no_grad()
def set_weights(learner: Learner, weights: Weights) -> None:
    """Set a learner's weights; its moments stay."""
    for name, master in learner.optimizer.masters().items():
        master.copy_(weights[name])


def _segment(
    first: int, last: int, parts: Mapping[str, Weights], start: Weights, end: Weights
) -> Segment:
    return Segment(
        first_step=first,
        last_step=last,
        file="",
        start=digest_weights(start),
        end=digest_weights(end),
        norms={part: _norm(tensors) for part, tensors in parts.items()},
        change=_norm({name: end[name] - start[name] for name in start}),
        lost=0.0,
    )


def _norm(tensors: Weights) -> float:
    return float(torch.stack([tensor.square().sum() for tensor in tensors.values()]).sum().sqrt())


TAIL = 0.25
"""Share of the run at its end over which weights are averaged: they still jump from step to step,
and their mean represents the end of such runs better than the last weights."""


def recompute_without(learner: Learner, kept: UncorrectedRollouts) -> dict[str, Tensor]:
    """Return the final weights of a recomputed run: their mean over its ``TAIL``.

    Args:
        learner: A learner with ``recompute_settings``. Its model must hold the run's initial
            weights, and is overwritten.
        kept: The run's objective on its kept rollouts, with some teachers masked.
    """
    steps = kept.steps
    first_of_tail = len(steps) - max(1, round(TAIL * len(steps)))
    mean: dict[str, Tensor] = {}
    for place, step in enumerate(steps):
        learner.update(kept, kept.scored(step), step)
        report("rehearse", step, steps[-1])
        if place < first_of_tail:
            continue
        for name, tensor in learner.optimizer.masters().items():
            share = 1 / (place - first_of_tail + 1)
            mean[name] = tensor.clone() if name not in mean else mean[name].lerp(tensor, share)
    return mean
