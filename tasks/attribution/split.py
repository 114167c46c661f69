"""Every behaviour of a question split by source, however many they are: in batches, put together.

Shapes: B behaviours of all batches, P parts (sources, decay, rounding), N tokens of a batch.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.attribution.behaviour import Behaviour, Encoded, encode
from tasks.attribution.course import Scorer, Stretch, Weights
from tasks.attribution.path_integral import Allocation, allocate
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.progress import report

BATCH = 64
"""Behaviours that are integrated together."""


@dataclass(frozen=True)
class Batch:
    """Some behaviours with what scores them."""

    encoded: Encoded
    scorer: Scorer


@dataclass(frozen=True)
class Split:
    """All behaviours, each split by source."""

    batches: tuple[Batch, ...]
    allocations: tuple[Allocation, ...]

    @property
    def behaviours(self) -> list[Behaviour]:
        """All of them, in order."""
        return [item for batch in self.batches for item in batch.encoded.behaviours]

    @property
    def parts(self) -> list[str]:
        """Sources, decay and rounding."""
        return self.allocations[0].parts

    def table(self) -> Tensor:
        """Return each part's contribution to each behaviour [P, B], in nats."""
        rows = [torch.stack([a.behaviours(part) for part in a.parts]) for a in self.allocations]
        return torch.cat(rows, dim=1)

    def begun(self) -> Tensor:
        """Return each behaviour's log-probability [B] where the round began."""
        return torch.cat([a.encoded.total(a.start_N) for a in self.allocations])

    def ended(self) -> Tensor:
        """Return each behaviour's log-probability [B] at the student."""
        return torch.cat([a.encoded.total(a.end_N) for a in self.allocations])

    def residuals(self) -> Tensor:
        """Return what is left unexplained of each behaviour [B], relative to its parts."""
        return torch.cat([allocation.residual for allocation in self.allocations])

    def of_segment(self, place: int) -> Tensor:
        """Return each part's contribution to each behaviour [P, B] in one segment."""
        return torch.cat(
            [
                torch.stack([a.encoded.total(a.segments[place].by_part[p]) for p in a.parts])
                for a in self.allocations
            ],
            dim=1,
        )

    def under(self, weights: Weights) -> Tensor:
        """Return each behaviour's log-probability [B] under other weights."""
        return torch.cat([b.encoded.total(b.scorer.log_probs(weights)) for b in self.batches])


def split(
    behaviours: Sequence[Behaviour], policy: Policy, course: Callable[[], Iterable[Stretch]]
) -> Split:
    """Split behaviours by source along a run; ``course`` walks it anew at each call.

    Raises:
        ValueError: for a behaviour that the student's tokenizer or context cannot hold.
    """
    chat = ChatTokens(policy.tokenizer)
    context = getattr(policy.model.config, "max_position_embeddings", None)
    starts = range(0, len(behaviours), BATCH)
    # All are encoded before the first is integrated: a bad one is told at once.
    encoded = [encode(behaviours[at : at + BATCH], chat, context) for at in starts]
    batches = tuple(Batch(each, Scorer(policy.model, each.tokens)) for each in encoded)
    allocations = []
    for place, batch in enumerate(batches):
        report("audit", place, len(batches), message="integrate along training")
        allocations.append(allocate(batch.scorer, batch.encoded, course()))
    return Split(batches, tuple(allocations))


def spread(domains: Sequence[str], most: int) -> list[int]:
    """Return the places of so many behaviours, the first of each domain before any second."""
    seen: Counter[str] = Counter()
    turns = []
    for place, domain in enumerate(domains):
        turns.append((seen[domain], place))
        seen[domain] += 1
    return [place for _, place in sorted(turns)[:most]]
