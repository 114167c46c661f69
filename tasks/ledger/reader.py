"""Reads a ledger, and checks it against its weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.ledger.conservation import Conservation, add_up
from tasks.ledger.schema import KeptRollout, LedgerCheckpoint, Manifest, Segment, SourceRow
from tasks.ledger.segment_file import SegmentFile
from tasks.ledger.writer import ROLLOUTS, ROWS, digest_weights, read_manifest


@dataclass(frozen=True)
class WalkedSegment:
    """One segment of a run, with its weights and displacements in memory."""

    segment: Segment
    start: Mapping[str, Tensor]
    parts: Mapping[str, Mapping[str, Tensor]]
    end: Mapping[str, Tensor]


@dataclass(frozen=True)
class Ledger:
    """A finished run's ledger."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> "Ledger":
        """Open a ledger's folder; raise ValueError for any other folder."""
        return cls(folder, read_manifest(folder))

    @property
    def parts(self) -> list[str]:
        """The sources, decay and rounding."""
        segments = self.manifest.segments
        return list(segments[0].norms) if segments else []

    def rows(self) -> list[SourceRow]:
        """Return every source in every step."""
        lines = (self.folder / ROWS).read_text("utf-8").splitlines()
        return [SourceRow.model_validate_json(line) for line in lines]

    def rollouts(self) -> Iterator[KeptRollout]:
        """Yield the kept rollouts in the order of training."""
        with (self.folder / ROLLOUTS).open(encoding="utf-8") as stream:
            for line in stream:
                yield KeptRollout.model_validate_json(line)

    def displacement(self, segment: Segment, part: str) -> dict[str, Tensor]:
        """Return one source's displacement of each parameter in one segment, in fp32.

        Decay is a source here. Rounding follows from the weights: see ``walk``.
        """
        file = self.opened(segment)
        return {name: file.stored(part, name) for name in file.names(part)}

    def opened(self, segment: Segment) -> SegmentFile:
        """Return a segment's file, to be read parameter by parameter."""
        return SegmentFile(self.folder / segment.file, list(segment.norms))

    def weights(self, checkpoint: LedgerCheckpoint) -> dict[str, Tensor]:
        """Return the weights of a checkpoint, in fp32."""
        stored = load_file(self.folder / checkpoint.file)
        return {name: tensor.float() for name, tensor in stored.items()}

    def walk(self, start: Mapping[str, Tensor]) -> Iterator[WalkedSegment]:
        """Walk the run from its first weights, with one segment in memory."""
        now = {name: tensor.detach().float() for name, tensor in start.items()}
        for segment in self.manifest.segments:
            file = self.opened(segment)
            parts: dict[str, dict[str, Tensor]] = {part: {} for part in segment.norms}
            end = {}
            for name, tensor in now.items():
                own, end[name] = file.parts_of(name, tensor)
                for part, moved in own.items():
                    parts[part][name] = moved
            yield WalkedSegment(segment, now, parts, end)
            now = end

    def trained_end(self, start: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the weights at the end of the run, as they were trained."""
        end = start
        for walked in self.walk(start):
            end = walked.end
        return end

    def check(self, start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> Conservation:
        """Return how the parts add up, after checking that these are the ledger's weights.

        Raises:
            ValueError: if the weights belong to another run, the ledger holds no split, or more of
                the change is left beside sources and decay than rounding can explain.
        """
        self.check_weights(start, end)
        if not self.manifest.segments:
            raise RefusedError(
                "no-displacements",
                f"the ledger in {self.folder} holds no displacements: it was written with "
                "displacements off, so a behavior can only be audited by replay",
            )
        files = [self.opened(segment) for segment in self.manifest.segments]
        return add_up(self.manifest, files, start, end)

    def check_weights(self, start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> None:
        """Raise ValueError if the ledger does not belong to a run's initial and final weights.

        ``start`` are compared in fp32, in which the run began; ``end`` as they were saved.
        """
        manifest = self.manifest
        first = {name: tensor.detach().float() for name, tensor in start.items()}
        last = manifest.saved.digest if manifest.saved else manifest.end
        for what, weights, expected in (
            ("begins with", first, manifest.start),
            ("ends with", end, last),
        ):
            result = digest_weights(weights)
            if result != expected:
                raise RefusedError(
                    "other-weights",
                    f"the ledger in {self.folder} {what} the weights {expected}, but those given "
                    f"are {result}: it belongs to another student; find this student's ledger "
                    "with `provost lineage show`",
                )
