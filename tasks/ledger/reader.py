"""Reads a ledger, and checks it against its weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.ledger.schema import KeptRollout, LedgerCheckpoint, Manifest, Segment, SourceRow
from tasks.ledger.split_adamw import ROUNDING
from tasks.ledger.writer import ROLLOUTS, ROWS, digest_weights, read_manifest

MOST_UNEXPLAINED = 1e-4
"""Maximum share of the change, by norm, that sources and decay may leave to rounding."""


@dataclass(frozen=True)
class Completeness:
    """How well the parts of a ledger add up to the change of the weights, by norm."""

    change: float
    """Norm of the weights' change, from the start of the run to its end."""
    unexplained: float
    """The rest beside all sources and decay, relative to the change."""
    residual: float
    """The rest beside ``rounding`` too, relative to the change: the precision of the storage."""


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
        """Return one part's displacement of each parameter in one segment, in fp32."""
        prefix = f"{part}/"
        with safe_open(self.folder / segment.file, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name).float() for name in names}

    def weights(self, checkpoint: LedgerCheckpoint) -> dict[str, Tensor]:
        """Return the weights of a checkpoint, in fp32."""
        stored = load_file(self.folder / checkpoint.file)
        return {name: tensor.float() for name, tensor in stored.items()}

    def change(self, segment: Segment) -> dict[str, Tensor]:
        """Return the change of all parts together in one segment."""
        total: dict[str, Tensor] = {}
        for part in segment.norms:
            for name, moved in self.displacement(segment, part).items():
                total[name] = total[name] + moved if name in total else moved
        return total

    def check(self, start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> Completeness:
        """Return how well the parts add up, after checking that these are the ledger's weights.

        Raises:
            ValueError: if the weights belong to another run, the ledger holds no split, or sources
                and decay leave more of the change unexplained than ``MOST_UNEXPLAINED``.
        """
        self.check_weights(start, end)
        segments = self.manifest.segments
        if not segments:
            raise RefusedError(
                "no-displacements",
                f"the ledger in {self.folder} holds no displacements: it was written with "
                "displacements off, so a behavior can only be audited by replay",
            )
        missing = {n: end[n].detach().double() - start[n].detach().double() for n in start}
        change = _norm(missing)
        rounding = {name: torch.zeros_like(tensor) for name, tensor in missing.items()}
        for segment in segments:
            for part in segment.norms:
                for name, moved in self.displacement(segment, part).items():
                    missing[name] -= moved.double()
                    if part == ROUNDING:
                        rounding[name] += moved.double()
        unexplained = {name: missing[name] + rounding[name] for name in missing}
        result = Completeness(change, _norm(unexplained) / change, _norm(missing) / change)
        if result.unexplained > MOST_UNEXPLAINED:
            raise RefusedError(
                "unexplained-change",
                f"sources and decay leave {result.unexplained:.2e} of the weights' change to "
                f"rounding, more than {MOST_UNEXPLAINED:.0e}: something changed the weights "
                "outside the optimizer, or displacements were stored in too low a precision",
            )
        return result

    def check_weights(self, start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> None:
        """Raise ValueError if the ledger does not belong to a run's initial and final weights."""
        for what, weights, expected in (
            ("begins with", start, self.manifest.start),
            ("ends with", end, self.manifest.end),
        ):
            result = digest_weights(weights)
            if result != expected:
                raise RefusedError(
                    "other-weights",
                    f"the ledger in {self.folder} {what} the weights {expected}, but those given "
                    f"are {result}: it belongs to another student; find this student's ledger "
                    "with `provost lineage show`",
                )


def _norm(tensors: Mapping[str, Tensor]) -> float:
    return float(torch.stack([tensor.square().sum() for tensor in tensors.values()]).sum().sqrt())
