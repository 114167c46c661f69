"""The metrics of a step: means over tokens by teacher, and measurements of its updates."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.ledger.source_gradients import UpdateReport
from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.microbatch import Microbatch
from tasks.onpolicy.objective import TokenLoss
from tasks.platform.ranks import sum_over_ranks


class DeviceSums:
    """Sums of scalars by name, in fp64 on the device of the scalars."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @torch.no_grad()
    def add(self, name: str, scalar: Tensor | float, count: int = 1) -> None:
        """Add a scalar, which counts for ``count`` items, to a sum without reading it."""
        value = torch.as_tensor(scalar, dtype=torch.float64)
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + count

    def totals(self) -> dict[str, float]:
        """Return each sum."""
        return {name: float(total) for name, total in self._sums.items()}

    def counts(self) -> dict[str, float]:
        """Return the number of items in each sum."""
        return {name: float(count) for name, count in self._counts.items()}

    def clear(self) -> None:
        """Forget all sums."""
        self._sums, self._counts = {}, {}


@dataclass(frozen=True)
class TokenMoments:
    """Means over tokens of one quantity, such as an advantage or a log-ratio in nats."""

    size: float = 0.0
    """Mean absolute value."""
    mean: float = 0.0
    square: float = 0.0
    tokens: float = 0.0

    @property
    def variance(self) -> float:
        """The variance over these tokens."""
        return max(0.0, self.square - self.mean**2)


class MomentSums:
    """Sums of values by name over the tokens of a step, kept on the device, for their moments."""

    def __init__(self) -> None:
        self._size, self._total, self._square = DeviceSums(), DeviceSums(), DeviceSums()

    def add(self, name: str, values_C: Tensor) -> None:
        """Add the values of a chunk's tokens."""
        values_C = values_C.detach().double()
        self._size.add(name, values_C.abs().sum(), len(values_C))
        self._total.add(name, values_C.sum())
        self._square.add(name, values_C.square().sum())

    def moments(self) -> dict[str, TokenMoments]:
        """Return the moments of each name over the tokens of all ranks. Collective."""
        counts = sum_over_ranks(self._size.counts())
        size, total, square = (
            sum_over_ranks(sums.totals()) for sums in (self._size, self._total, self._square)
        )
        return {
            name: TokenMoments(size[name] / count, total[name] / count, square[name] / count, count)
            for name, count in counts.items()
            if count
        }


class Report:
    """Sums over one step's tokens and updates, by name."""

    def __init__(self) -> None:
        self._losses, self._tokens = DeviceSums(), DeviceSums()
        self._updates: list[dict[str, float]] = []

    def add_chunk(self, loss: TokenLoss, batch: Microbatch, chunk: slice) -> None:
        """Add the losses of a chunk's tokens and their other measurements."""
        weights_C = batch.weights_N[chunk]
        for source, loss_C in loss.by_source.items():
            self._losses.add(f"loss/{source}", (weights_C * loss_C.detach()).sum())
        for name, values_C in loss.report.items():
            key = f"{name}/{batch.teacher}" if batch.teacher else name
            self._tokens.add(key, values_C.sum(), len(values_C))

    @torch.no_grad()
    def add_gap(self, student_CV: Tensor, batch: Microbatch, chunk: slice) -> None:
        """Add how far the learner's log-probabilities of tokens are from the sampler's, in nats.

        Those of stale tokens also hold what the policy learned since, so they count apart.
        """
        if batch.update_index > 0 or batch.term:  # this policy has not sampled these tokens
            return
        own_C = token_log_probs(student_CV, batch.tokens.tokens_N[chunk])
        difference_C = own_C - batch.sampler_log_probs_N[chunk]
        if batch.staleness_N is None:
            self._add_gap("sampler", difference_C)
            return
        stale_C = (batch.staleness_N[chunk] > 0).to(difference_C.device)
        self._add_gap("stale", difference_C[stale_C])
        self._add_gap("sampler", difference_C[~stale_C])

    def _add_gap(self, name: str, difference_C: Tensor) -> None:
        if len(difference_C):
            self._tokens.add(f"{name}_gap", difference_C.abs().sum(), len(difference_C))
            self._tokens.add(f"{name}_bias", difference_C.sum(), len(difference_C))

    def add_update(self, update: UpdateReport, padding: float) -> None:
        """Add an update, which is the same on all ranks."""
        numbers = {
            "gradient_norm": update.gradient_norm,
            "clip_factor": update.clip_factor,
            "padding": padding,
        }
        for name, part in update.sources.items():
            numbers[f"gradient_norm/{name}"] = part.norm
            numbers[f"gradient_cosine/{name}"] = part.cosine
            numbers[f"gradient_share/{name}"] = update.share_of(part)
        self._updates.append(numbers)

    def means(self) -> dict[str, float]:
        """Return the metrics over all ranks. Collective.

        A loss is a sum over weighted tokens and a mean over updates; everything else is a mean over
        tokens or over updates.
        """
        losses = _over(sum_over_ranks(self._losses.totals()), len(self._updates))
        sums, counts = (
            sum_over_ranks(numbers) for numbers in (self._tokens.totals(), self._tokens.counts())
        )
        tokens = {name: total / counts[name] for name, total in sums.items()}
        return {"loss": sum(losses.values()), **losses, **tokens, **_means(self._updates)}


def _over(numbers: dict[str, float], divisor: float) -> dict[str, float]:
    return {name: number / divisor for name, number in numbers.items()}


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
