"""Writes a ledger while a run goes on: rows and rollouts each step, displacements each segment.

Without displacements the weights themselves are kept at each segment's end, for a replay.

Of several ranks the first one writes. Displacements are put together from all ranks' parts, one
parameter after the other.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from lineage.store.scratch import copy_writable
from tasks.contracts.refusal import RefusedError
from tasks.ledger.schema import (
    KeptRollout,
    LedgerCheckpoint,
    LedgerSettings,
    Manifest,
    SavedWeights,
    Segment,
    SourceRow,
    StoredPrecision,
)
from tasks.ledger.segment_file import DTYPES, SegmentWriter
from tasks.ledger.segment_sums import SegmentSums, square
from tasks.ledger.split_adamw import SplitAdamW
from tasks.ledger.tensor_file import write_whole_tensors
from tasks.model.shards import collected, whole
from tasks.platform.ranks import rank


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the digest of named weights: names, types, shapes and every bit of every number.

    Of sharded weights it is that of the whole ones. Collective.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        data = whole(tensor).cpu().contiguous()
        total.update(f"{name} {data.dtype} {tuple(data.shape)}\n".encode())
        total.update(data.view(torch.uint8).numpy().data if data.ndim else data.numpy().tobytes())
    return f"sha256:{total.hexdigest()}"


MANIFEST = "ledger.json"
ROWS = "sources.jsonl"
ROLLOUTS = "rollouts.jsonl"


class LedgerWriter:
    """A ledger in a folder, complete after every step; all its methods are collective."""

    def __init__(
        self,
        folder: Path,
        settings: LedgerSettings,
        optimizer: SplitAdamW,
        seed: int,
        saved: StoredPrecision = StoredPrecision.FP32,
    ) -> None:
        """Start a ledger in an empty folder, or continue the ledger in it.

        ``saved`` is the precision in which the student will be saved.

        Raises:
            ValueError: if the folder's ledger has other settings, sources or weights.
        """
        self._folder, self._optimizer, self._writes = folder, optimizer, rank() == 0
        self._saved = saved
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists():
            self._manifest = read_manifest(folder)
            self._check_same_run(settings, seed)
            return
        start = digest_weights(optimizer.masters())
        self._manifest = Manifest(
            settings=settings,
            seed=seed,
            sources=tuple(optimizer.sources),
            start=start,
            end=start,
            last_step=0,
            segments=(),
        )
        for name in (ROWS, ROLLOUTS) if self._writes else ():
            (folder / name).touch()

    @property
    def settings(self) -> LedgerSettings:
        """What is kept."""
        return self._manifest.settings

    def step(
        self, step: int, rows: Sequence[SourceRow], kept: Sequence[KeptRollout], *, last: bool
    ) -> None:
        """Add a step; close the segment where it is full, or where the run ends."""
        if self._writes:
            _append(self._folder / ROWS, rows)
            _append(self._folder / ROLLOUTS, kept)
        every = self.settings.segment_steps
        if last or step % every == 0:
            if self.settings.displacements:
                self._close_segment(step)
            else:
                self._keep_weights(step)
        update = {"last_step": step, **(self._end() if last else {})}
        self._manifest = self._manifest.model_copy(update=update)
        if self._writes:
            (self._folder / MANIFEST).write_text(self._manifest.model_dump_json(indent=1), "utf-8")

    def save(self, folder: Path) -> None:
        """Copy the current ledger, for a run that may be killed."""
        if self._writes:
            copy_writable(self._folder, folder)

    def load(self, folder: Path) -> None:
        """Go on with the ledger that ``save`` copied."""
        if self._writes:
            copy_writable(folder, self._folder)
        settings, seed = self._manifest.settings, self._manifest.seed
        self._manifest = read_manifest(folder)
        self._check_same_run(settings, seed)

    def _close_segment(self, step: int) -> None:
        segments = self._manifest.segments
        first = segments[-1].last_step + 1 if segments else 1
        optimizer = self._optimizer
        name = f"segment-{len(segments) + 1:05d}.safetensors"
        sums = self._write_parts(self._folder / name)
        end = digest_weights(optimizer.masters())
        if self._writes:
            segment = Segment(
                first_step=first,
                last_step=step,
                file=name,
                start=segments[-1].end if segments else self._manifest.start,
                end=end,
                norms=sums.norms,
                change=sums.change,
                lost=sums.lost,
                updates=optimizer.num_updates - sum(each.updates or 0 for each in segments),
                farthest=sums.farthest,
            )
            self._manifest = self._manifest.model_copy(
                update={"segments": (*segments, segment), "end": end}
            )
        optimizer.begin_segment()  # it overwrites the parts

    def _write_parts(self, file: Path) -> SegmentSums:
        """Write a segment's parts, and return what they sum to on the first rank. Collective.

        Ranks put one parameter together after the other, so none holds all of them.
        """
        parts, sums = self._optimizer.segment(), SegmentSums()
        start, end = self._optimizer.segment_start(), self._optimizer.masters()
        kept = DTYPES[self.settings.precision]
        exact = all(tensor.dtype is torch.float32 for tensor in end.values())
        shapes = {name: tensor.shape for name, tensor in start.items()}
        with ExitStack() as stack:
            writer = None
            if self._writes:
                opened = SegmentWriter(file, list(parts), shapes, kept, exact=exact)
                writer = stack.enter_context(opened)
            for name in shapes:
                moved = collected({part: tensors[name] for part, tensors in parts.items()})
                ends = collected({"start": start[name], "end": end[name]})
                if writer is not None:
                    stored = {part: tensor.to(kept) for part, tensor in moved.items()}
                    writer.add(name, stored, **ends)
                    sums.add(moved, stored)
        return sums

    def _keep_weights(self, step: int) -> None:
        checkpoints = self._manifest.checkpoints
        masters = self._optimizer.masters()
        digest, name = digest_weights(masters), f"weights-{len(checkpoints) + 1:05d}.safetensors"
        kept = DTYPES[self.settings.precision]
        write_whole_tensors(self._folder / name, masters, kept)
        if not self._writes:
            return
        checkpoint = LedgerCheckpoint(step=step, file=name, digest=digest)
        self._manifest = self._manifest.model_copy(
            update={"checkpoints": (*checkpoints, checkpoint)}
        )

    def _end(self) -> dict[str, object]:
        """Return the digests of the student, as it was trained and as it will be saved."""
        masters = self._optimizer.masters()
        end: dict[str, object] = {"end": digest_weights(masters)}
        if self._saved is StoredPrecision.FP32:
            return end
        kept = DTYPES[self._saved]
        weights = (whole(tensor) for tensor in masters.values())
        lost = _norm(tensor - tensor.to(kept).to(tensor.dtype) for tensor in weights)
        digest = digest_weights({name: tensor.to(kept) for name, tensor in masters.items()})
        return end | {"saved": SavedWeights(precision=self._saved, digest=digest, lost=lost)}

    def _check_same_run(self, settings: LedgerSettings, seed: int) -> None:
        existing = self._manifest
        own = (settings, seed, tuple(self._optimizer.sources))
        if own != (existing.settings, existing.seed, existing.sources):
            raise RefusedError(
                "other-run",
                f"the ledger in {self._folder} has other settings, seed or sources "
                f"({list(existing.sources)}) than this run ({self._optimizer.sources}): use a new "
                "folder",
            )


def read_manifest(folder: Path) -> Manifest:
    """Return a ledger's manifest.

    Raises:
        ValueError: if it is missing or invalid.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError as error:
        raise RefusedError(
            "no-ledger",
            f"{folder} holds no {MANIFEST}, so it is not a ledger: give the folder that a "
            "consolidation wrote, or run a consolidation with the ledger on",
        ) from error


def _append(file: Path, entries: Sequence[SourceRow | KeptRollout]) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{entry.model_dump_json()}\n" for entry in entries)


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(map(square, tensors)))
