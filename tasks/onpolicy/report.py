"""The metrics of a step: means over tokens by teacher, and what its updates did."""

from collections import defaultdict
from collections.abc import Sequence

from tasks.ledger.gradients import UpdateReport
from tasks.onpolicy.microbatch import Microbatch
from tasks.onpolicy.objective import TokenLoss
from tasks.ranks import sum_over_ranks


class Report:
    """Sums over one step's tokens and updates, by name."""

    def __init__(self) -> None:
        self._losses: dict[str, float] = defaultdict(float)
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, float] = defaultdict(float)
        self._updates: list[dict[str, float]] = []

    def add_chunk(self, loss: TokenLoss, batch: Microbatch, chunk: slice) -> None:
        """Hear what a chunk's tokens cost, and what else is reported of them."""
        weights_C = batch.weights_N[chunk]
        for source, loss_C in loss.by_source.items():
            self._losses[f"loss/{source}"] += float((weights_C * loss_C.detach()).sum())
        for name, values_C in loss.report.items():
            key = f"{name}/{batch.teacher}" if batch.teacher else name
            self._sums[key] += float(values_C.sum())
            self._counts[key] += len(values_C)

    def add_update(self, update: UpdateReport, padding: float) -> None:
        """Hear what an update did; it did the same on all ranks."""
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

        A loss is a sum over tokens that are weighted already and a mean over updates; all else is
        a mean over tokens, or over updates.
        """
        losses = _over(sum_over_ranks(self._losses), len(self._updates))
        sums, counts = sum_over_ranks(self._sums), sum_over_ranks(self._counts)
        tokens = {name: total / counts[name] for name, total in sums.items()}
        return {"loss": sum(losses.values()), **losses, **tokens, **_means(self._updates)}


def _over(numbers: dict[str, float], divisor: float) -> dict[str, float]:
    return {name: number / divisor for name, number in numbers.items()}


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
