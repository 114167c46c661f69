"""What checkpoints cost: tokens sampled and trained, and processor time, from their records."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from lineage.graph.handed import handed
from lineage.records.record import Records
from tasks.contracts.handover import Plan


class StageCost(Frozen):
    """What the steps of one kind took, summed over the recipe's records."""

    steps: int = 0
    tokens_sampled: int = 0
    tokens_trained: int = 0
    processor_seconds: float = 0.0


def cost_of_records(
    records: Records, checkpoints: Sequence[Artifact], before: Set[str]
) -> dict[str, StageCost]:
    """Return what was spent on checkpoints, by kind of record.

    It follows every input that hands something on: weights, data, scores, teachers. Each record
    counts once, also if several stages used what it made, and whether this run made or found it.

    Args:
        records: The records of the store.
        checkpoints: What was made.
        before: Records that were there before, such as the base's; nothing behind them counts.
    """
    cost: dict[str, StageCost] = {}
    seen, todo = {"", *before}, deque(item.record for item in checkpoints)
    while todo:
        record = todo.popleft()
        if record in seen:
            continue
        seen.add(record)
        derivation, attested = records.read(record), records.output(record)
        notes = attested.notes if attested else {}
        known = cost.get(derivation.kind, StageCost())
        cost[derivation.kind] = StageCost(
            steps=known.steps + 1,
            tokens_sampled=known.tokens_sampled + int(_number(notes, "tokens_sampled")),
            tokens_trained=known.tokens_trained + int(_number(notes, "tokens_trained")),
            processor_seconds=known.processor_seconds + _number(notes, "processor_seconds"),
        )
        todo.extend(item.record for item in derivation.inputs if handed(derivation.kind, item.role))
    return cost


def total_cost(costs: Iterable[StageCost]) -> StageCost:
    """Return the sum over several kinds."""
    known = list(costs)
    return StageCost(
        steps=sum(each.steps for each in known),
        tokens_sampled=sum(each.tokens_sampled for each in known),
        tokens_trained=sum(each.tokens_trained for each in known),
        processor_seconds=sum(each.processor_seconds for each in known),
    )


def cost_of_methods(
    records: Records, plan: Plan, methods: Mapping[str, Artifact]
) -> dict[str, StageCost]:
    """Return what each method of a consolidation took after its teachers and the start existed."""
    parts = [part for t in plan.teachers for part in (t.checkpoint, t.train, t.environment)]
    before = {part.record for part in (plan.student, plan.fork_point, *parts)}
    return {
        name: total_cost(cost_of_records(records, [model], before).values())
        for name, model in methods.items()
    }


def _number(notes: Mapping[str, object], name: str) -> float:
    value = notes.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
