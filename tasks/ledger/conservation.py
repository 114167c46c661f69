"""Adds up a ledger: the change of the weights is its sources, decay and rounding, and no more.

Rounding is what sources and decay leave. Two checks tell it from a change of the weights past the
optimizer: all weights together lose about as much as predicted, and no weight loses more than fp32
can lose.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.ledger.rounding import MOST_OF_BOUND, WeightMoves, expected_square, num_beyond
from tasks.ledger.schema import Manifest, Segment
from tasks.ledger.segment_file import SegmentFile
from tasks.ledger.split_adamw import DECAY, ROUNDING

MOST_OF_OLDER = 1e-4
"""Share of the change that rounding may always have in a ledger that does not count updates."""


@dataclass(frozen=True)
class Conservation:
    """The change of a run's weights and its parts, by norm; all but the first relative to it.

    As vectors, the parts and ``unexplained`` add up to the change.
    """

    change: float
    """Norm of the weights' change, from the start of the run to its end."""
    parts: Mapping[str, float]
    """Each part of the ledger: sources, decay, rounding."""
    rounding: float
    """The rest beside sources and decay."""
    expected: float
    """The rounding that is predicted from the weights and the number of updates."""
    unexplained: float
    """The rest beside all parts: the precision of the storage."""
    saving: float
    """What saving the student in less precision rounded away; 0 if it is saved as trained."""


class _Tally:
    """Sums over weights, parameter by parameter."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._of_updates = sum(map(_num_updates, segments))
        self.squares: defaultdict[str, float] = defaultdict(float)
        self.beyond: Counter[str] = Counter()
        self.expected = 0.0

    def segment(
        self, name: str, segment: Segment, start: Tensor, end: Tensor, parts: Mapping[str, Tensor]
    ) -> None:
        """Add what fp32 loses of one parameter in one segment, and count what it cannot lose."""
        moves = WeightMoves(
            start=start,
            end=end,
            sources=[moved for part, moved in parts.items() if part not in {DECAY, ROUNDING}],
            decay=parts[DECAY],
            num_updates=_num_updates(segment),
            of_updates=self._of_updates,
        )
        self.expected += expected_square(moves)
        if segment.updates is not None and ROUNDING in parts:
            self.beyond[name] += num_beyond(moves, parts[ROUNDING], segment.farthest)

    def add(self, part: str, tensor: Tensor) -> None:
        """Add a part's displacement of one parameter over the whole run."""
        self.squares[part] += float(tensor.square().sum())

    def norm(self, part: str) -> float:
        """Return the norm of a part relative to the change."""
        return sqrt(self.squares[part] / self.squares[_CHANGE])


def _num_updates(segment: Segment) -> int:
    """Return the updates of a segment; an older ledger has at least one for each step."""
    steps = segment.last_step - segment.first_step + 1
    return steps if segment.updates is None else segment.updates


_CHANGE, _REST, _MISSING, _SAVED = "the change", "its rest", "missing", "saved"


def add_up(
    manifest: Manifest,
    files: Sequence[SegmentFile],
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
) -> Conservation:
    """Return how the parts of a ledger add up to the change from ``start`` to ``end``.

    Raises:
        RefusedError: if more is left beside sources and decay than rounding can explain.
    """
    tally = _Tally(manifest.segments)
    for name, weights in start.items():
        now, moved = weights.detach().float(), dict[str, Tensor]()
        for segment, file in zip(manifest.segments, files, strict=True):
            parts, after = file.parts_of(name, now)
            tally.segment(name, segment, now, after, parts)
            for part, tensor in parts.items():
                moved[part] = moved[part] + tensor.double() if part in moved else tensor.double()
            now = after
        saved = end[name].detach().float()
        trained = now if manifest.saved else saved
        change = trained.double() - weights.detach().double()
        rest = change - torch.stack([t for part, t in moved.items() if part != ROUNDING]).sum(0)
        tally.add(_CHANGE, change)
        tally.add(_REST, rest)
        tally.add(_MISSING, rest - moved[ROUNDING] if ROUNDING in moved else rest)
        tally.add(_SAVED, saved.double() - trained.double())
        for part, tensor in moved.items():
            tally.add(part, tensor)
    result = Conservation(
        change=sqrt(tally.squares[_CHANGE]),
        parts={part: tally.norm(part) for part in manifest.segments[0].norms},
        rounding=tally.norm(_REST),
        expected=sqrt(tally.expected / tally.squares[_CHANGE]),
        unexplained=tally.norm(_MISSING),
        saving=tally.norm(_SAVED),
    )
    _refuse_foreign(result, tally.beyond, manifest)
    return result


def _refuse_foreign(found: Conservation, beyond: Mapping[str, int], manifest: Manifest) -> None:
    """Raise RefusedError for a change that rounding cannot explain."""
    changed = {name: count for name, count in beyond.items() if count}
    if changed:
        raise RefusedError(
            "unexplained-change",
            f"{sum(changed.values())} weights changed by more than sources, decay and fp32 "
            f"rounding can explain, in {sorted(changed)[:3]}: something changed the weights "
            "outside the optimizer, or displacements were stored in too low a precision",
        )
    most = MOST_OF_BOUND * found.expected
    if any(segment.updates is None for segment in manifest.segments):
        most = max(most, MOST_OF_OLDER)
    if found.rounding > most:
        raise RefusedError(
            "unexplained-change",
            f"sources and decay leave {found.rounding:.2e} of the weights' change, and fp32 "
            f"rounding explains {found.expected:.2e}; the limit is {most:.2e}. Something changed "
            "the weights outside the optimizer, or displacements were stored in too low a "
            "precision",
        )
