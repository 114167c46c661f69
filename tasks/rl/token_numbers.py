"""Numbers of each response token of a step's rollouts, such as log-probabilities or values.

Every rank computes those of some rollouts, and all ranks get all of them.

Shapes: N response tokens of a batch.
"""

from collections.abc import Callable, Iterator, Sequence

from pydantic import TypeAdapter
from torch import Tensor

from tasks.model.log_probs import TokenBatch
from tasks.platform.ranks import exchange, num_ranks, rank
from tasks.rollout.batch import rollout_batch
from tasks.rollout.collect import Rollout

Numbers = tuple[float, ...]
_BATCH_TOKENS = 4096
"""Tokens of a batch with its padding; without gradients it needs little memory."""
_LIST = TypeAdapter(list[Numbers])


def token_numbers(
    rollouts: Sequence[Rollout], compute: Callable[[TokenBatch], Tensor], pad_id: int
) -> list[Numbers]:
    """Return ``compute``'s number of each response token, by rollout. Collective."""
    mine = range(rank(), len(rollouts), num_ranks())
    found: dict[int, Numbers] = dict.fromkeys(mine, ())
    for places in _batches(rollouts, [p for p in mine if rollouts[p].num_response_tokens]):
        chosen = [rollouts[place] for place in places]
        batch = rollout_batch(chosen, pad_id)
        numbers = iter(compute(batch).tolist())
        for place in places:
            found[place] = tuple(next(numbers) for _ in range(rollouts[place].num_response_tokens))
    own = _LIST.dump_json([found[place] for place in mine]).decode()
    by_rank = [_LIST.validate_json(text) for text in exchange(own)]
    return [by_rank[p % num_ranks()][p // num_ranks()] for p in range(len(rollouts))]


def _batches(rollouts: Sequence[Rollout], places: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of rollouts of similar length that fit into a batch."""
    batch: list[int] = []
    for place in sorted(places, key=lambda place: len(rollouts[place].ids)):
        if batch and (len(batch) + 1) * len(rollouts[place].ids) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
