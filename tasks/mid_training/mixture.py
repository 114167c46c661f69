"""Documents drawn by source, so that each source has its share of the tokens.

The next document comes from the source that is furthest behind its share. A source that runs out
starts again in another order. So shares are met to within a document, whatever their lengths.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

from tasks.contracts.refusal import RefusedError


def shares_of(tokens: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the share of the tokens of each source that is read.

    Args:
        tokens: Number of tokens that each source has.
        weights: Relative shares; empty takes the shares of the data.

    Raises:
        RefusedError: ``other-sources`` if the weights name other sources than the data have.
    """
    if weights and weights.keys() != tokens.keys():
        raise RefusedError(
            "other-sources",
            f"the data have the sources {', '.join(sorted(tokens))}, and the weights name "
            f"{', '.join(sorted(weights))}: give each source of the data a weight, 0 to leave it "
            "out",
        )
    wanted = dict(weights or tokens)
    total = sum(wanted.values())
    return {source: weight / total for source, weight in wanted.items() if weight}


def draw(
    documents: Mapping[str, Sequence[Sequence[int]]], shares: Mapping[str, float], seed: int
) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield documents with their sources, without an end.

    Args:
        documents: Tokens of the documents by source; a source with a share has at least one.
        shares: Share of the tokens of each source that is read.
        seed: Seed of the order.
    """
    waiting = {source: _in_rounds(source, documents[source], seed) for source in sorted(shares)}
    read = dict.fromkeys(waiting, 0)
    while True:
        source = min(waiting, key=lambda name: read[name] / shares[name])
        document = next(waiting[source])
        read[source] += len(document)
        yield source, document


def _in_rounds(
    source: str, documents: Sequence[Sequence[int]], seed: int
) -> Iterator[Sequence[int]]:
    rng = random.Random(f"{source} {seed}")
    while True:
        yield from rng.sample(documents, len(documents))
