"""Replay: a run's updates made again from the rollouts that its ledger kept, and nothing sampled.

Where a ledger holds no displacements, each segment is replayed from the weights that it began with,
and the replayed updates stand in for the true ones (``replayed``): an approximation, whose error is
a part of its own. Without some of its teachers a run is rehearsed (``rehearsal``).

Shapes: none; weights by name.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tasks.ledger.entries import KeptRollout, Segment
from tasks.ledger.read import Ledger
from tasks.ledger.split_adamw import ROUNDING, UNREPLAYED
from tasks.ledger.weights import digest_weights
from tasks.ledger.writer import MANIFEST, ROLLOUTS, ROWS
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.microbatch import Microbatch, Scored
from tasks.onpolicy.objective import ChunkLoss, UpdateLosses
from tasks.onpolicy.settings import LoopSettings, Normalisation, Precision
from tasks.progress import report
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Prompt

Weights = Mapping[str, Tensor]
OUTCOME = "outcome"


@dataclass(frozen=True)
class Replayed:
    """One segment of a run, replayed."""

    segment: Segment
    start: Weights
    """The true weights where it begins."""
    parts: Mapping[str, Weights]
    """What each source added in the replay, and ``UNREPLAYED``."""


def settings_for_replay(loop: LoopSettings) -> LoopSettings:
    """Return a run's settings with which its kept rollouts are learned from again.

    A kept token brings the weight that it had, so none is normalised by its sequence anew.
    """
    changed = {"normalisation": Normalisation.TOKEN_MEAN, "precision": Precision.FP32}
    return loop.model_copy(update={**changed, "inner_updates": 1})


class Kept:
    """A run's objective on the rollouts that its ledger kept, some teachers masked."""

    def __init__(
        self,
        objective: UpdateLosses,
        ledger: Ledger,
        masked: Sequence[str] = (),
        outcome_weight: float = 0.0,
    ) -> None:
        """Take the run's objective; ``outcome_weight`` is what it gave the reward.

        Raises:
            ValueError: if the ledger kept no rollouts, or knows nothing of a masked teacher.
        """
        self._objective, self._masked = objective, frozenset(masked)
        self._steps = _scored(ledger, self._masked, outcome_weight)
        strangers = sorted(self._masked - set(ledger.manifest.sources))
        if strangers:
            raise ValueError(
                f"{strangers} are no sources of this ledger ({list(ledger.manifest.sources)}): "
                "correct their names"
            )
        if not self._steps:
            raise ValueError(
                f"the ledger in {ledger.folder} kept no rollouts, so nothing can be replayed: run "
                "the consolidation again with ledger.rollouts_per_teacher above 0"
            )

    @property
    def steps(self) -> list[int]:
        """Those of which rollouts were kept, in order."""
        return sorted(self._steps)

    def scored(self, step: int) -> list[Scored]:
        """Return the kept rollouts of a step, once for each teacher that scored it.

        Each has the weight that it had in the run.
        """
        return self._steps[step]

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        """Tell the run's objective."""
        self._objective.begin_step(step, updates)

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Return the losses of the run's objective."""
        return self._objective.prepare(batch)

    def end_step(self, step: int) -> dict[str, float]:
        """Return nothing: the run itself proved its mechanisms, and was balanced by its own."""
        return {}


def replayed(
    ledger: Ledger, checkpoints: Sequence[Weights], learner: Learner, kept: Kept, after: int = 0
) -> Iterator[Replayed]:
    """Walk a run with displacements that are replayed, each segment from its true first weights.

    The moments go on from segment to segment, as they did in the run.

    Args:
        ledger: Of the run.
        checkpoints: The weights at every segment's begin, and the student's (``boundaries``).
        learner: With ``settings_for_replay``, recording, whose model is given up to this.
        kept: The run's objective on its kept rollouts, nobody masked.
        after: The last step that is replayed already, a segment's; the learner stands there.
    """
    spans = _spans(ledger)
    for (first, last), start, end in zip(spans, checkpoints[:-1], checkpoints[1:], strict=True):
        if last <= after:
            continue
        put_weights(learner, start)
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
        yield Replayed(_segment(first, last, parts, start, end), start, parts)


class ReplayedLedger:
    """A ledger with replayed displacements while it is written; a part of a state to go on from."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        """Begin one beside what ``ledger`` kept, in a new folder."""
        folder.mkdir(parents=True)
        self._ledger, self._folder = ledger, folder
        self._segments: tuple[Segment, ...] = ()

    def add(self, found: Replayed) -> None:
        """Write a segment."""
        name = f"segment-{len(self._segments) + 1:05d}.safetensors"
        tensors = {
            f"{part}/{key}": tensor.contiguous()
            for part, moved in found.parts.items()
            for key, tensor in moved.items()
        }
        save_file(tensors, self._folder / name)
        self._segments += (found.segment.model_copy(update={"file": name}),)
        self._write()

    def finish(self) -> None:
        """Copy what the run kept beside the segments."""
        for name in (ROWS, ROLLOUTS):
            shutil.copyfile(self._ledger.folder / name, self._folder / name)

    def save(self, folder: Path) -> None:
        """Copy the segments so far, for a replay that may be killed."""
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)

    def load(self, folder: Path) -> None:
        """Go on with the segments that ``save`` copied."""
        shutil.copytree(folder, self._folder, dirs_exist_ok=True)
        self._segments = Ledger.open(folder).manifest.segments

    def _write(self) -> None:
        update = {"segments": self._segments, "checkpoints": ()}
        manifest = self._ledger.manifest.model_copy(update=update)
        (self._folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), "utf-8")


def boundaries(ledger: Ledger, start: Weights) -> list[Weights]:
    """Return the weights where each segment begins, and last those of the student.

    Raises:
        ValueError: if the ledger holds neither displacements nor checkpoints.
    """
    now: Weights = {name: tensor.detach().float() for name, tensor in start.items()}
    found = [now]
    for segment in ledger.manifest.segments:
        change = ledger.change(segment)
        now = {name: tensor + change[name] for name, tensor in now.items()}
        found.append(now)
    found += [ledger.weights(checkpoint) for checkpoint in ledger.manifest.checkpoints]
    if len(found) == 1:
        raise ValueError(
            f"the ledger in {ledger.folder} holds neither displacements nor checkpoints, so there "
            "is nothing to replay from: it is of an older version; run the consolidation again"
        )
    return found


def _spans(ledger: Ledger) -> list[tuple[int, int]]:
    """Return the first and last step of each segment."""
    manifest = ledger.manifest
    ends = [s.last_step for s in manifest.segments] or [c.step for c in manifest.checkpoints]
    return [(a + 1, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _scored(
    ledger: Ledger, masked: frozenset[str], outcome_weight: float
) -> dict[int, list[Scored]]:
    """Return by step the kept rollouts, each standing for those of its teacher that were not."""
    said = {(row.step, row.source): row.tokens for row in ledger.rows()}
    entries: dict[tuple[int, str], list[KeptRollout]] = defaultdict(list)
    for entry in ledger.rollouts():
        entries[entry.step, entry.teacher].append(entry)
    steps: dict[int, list[Scored]] = defaultdict(list)
    for (step, teacher), own in entries.items():
        tokens = sum(len(entry.response) for entry in own)
        for entry in own:
            steps[step].append(
                Scored(
                    _rollout(entry),
                    teacher,
                    _outcome(entry, outcome_weight),
                    share=entry.weight * said[step, teacher] / tokens,
                    masked=teacher in masked,
                )
            )
    return dict(steps)


def _outcome(entry: KeptRollout, weight: float) -> float:
    """Return a rollout's advantage from its grade; the ledger holds it weighed, at each token."""
    told = entry.advantages.get(OUTCOME, ())
    return told[0] / weight if told and weight > 0 else 0.0


def _rollout(entry: KeptRollout) -> Rollout:
    log_probs = dict(zip(entry.response, entry.sampler_log_probs, strict=True))
    places = range(len(entry.ids))
    return Rollout(
        domain=entry.domain,
        prompt=Prompt(entry.prompt, ()),
        turns=(),
        grade=Grade(entry.score),
        ids=entry.ids,
        is_response=tuple(place in log_probs for place in places),
        sampler_log_probs=tuple(log_probs.get(place, 0.0) for place in places),
        truncated=False,
    )


@torch.no_grad()
def put_weights(learner: Learner, weights: Weights) -> None:
    """Let a learner stand at these weights; its moments stay."""
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
