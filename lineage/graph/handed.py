"""What one step hands to another: weights, data, scores, a frozen reference, or a token's teacher.

Retellings of a recipe mostly go wrong here. So it is read from the records, by the kind of the
derivation and the role of its input, and from nothing else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from lineage.records.derivation import Derivation, Input
from lineage.records.record import Records


class Handed(StrEnum):
    """What an input hands on."""

    WEIGHTS = "weights"
    """The output starts from its weights, or is made of them."""
    DATA = "data"
    """The output was trained on what it holds, or on what it wrote."""
    SCORES = "scores"
    """It scored samples that the output was trained on: reward or filter."""
    REFERENCE = "reference"
    """Its frozen probabilities held the output back (KL)."""
    TEACHER = "teacher"
    """Its probabilities of each token were the target (distillation)."""
    VALUE = "value"
    """The value network of PPO started from its weights; the output holds none of them."""


_EVERYWHERE = {
    "start": Handed.WEIGHTS,
    "data": Handed.DATA,
    "text": Handed.DATA,
    "prompts": Handed.DATA,
    "responses": Handed.DATA,
    "comparisons": Handed.DATA,
    "sampler": Handed.DATA,
    "environment": Handed.SCORES,
    "reward_model": Handed.SCORES,
    "judge": Handed.SCORES,
    "outcome": Handed.SCORES,
    "reference": Handed.REFERENCE,
    "value_start": Handed.VALUE,
}
_OF_KIND = {
    ("merge", "base"): Handed.WEIGHTS,
    ("merge", "model"): Handed.WEIGHTS,
    ("merge", "teacher"): Handed.WEIGHTS,
    ("mopd", "student"): Handed.WEIGHTS,
    ("mopd", "teacher"): Handed.TEACHER,
    ("mopd", "rung"): Handed.TEACHER,
    ("mopd", "precursor"): Handed.REFERENCE,
    ("replay", "student"): Handed.WEIGHTS,
    ("replay", "teacher"): Handed.TEACHER,
    ("rehearsal", "student"): Handed.WEIGHTS,
    ("rehearsal", "teacher"): Handed.TEACHER,
    ("surgery", "student"): Handed.WEIGHTS,
    ("warm_up", "teacher"): Handed.DATA,
    ("import", "declared_start"): Handed.WEIGHTS,
    ("difficulty", "responses"): Handed.SCORES,
}
"""Exceptions by kind of derivation and role."""


def handed(kind: str, role: str) -> Handed | None:
    """Return what an input of a derivation hands on; None for one that only steers or measures."""
    return _OF_KIND.get((kind, role), _EVERYWHERE.get(role))


def inputs_handing(derivation: Derivation, what: Handed) -> Iterator[Input]:
    """Yield the inputs of a derivation that hand on weights, data, or another of these."""
    for item in derivation.inputs:
        if handed(derivation.kind, item.role) is what:
            yield item


def weight_ancestors(records: Records, checkpoint: str, record: str) -> set[str]:
    """Return the digests of a checkpoint and of all checkpoints that its weights come from.

    Args:
        records: The records of the store.
        checkpoint: Digest of the checkpoint.
        record: Record that made it; "" for a raw input.
    """
    found, todo = set[str](), [(checkpoint, record)]
    while todo:
        digest, made_by = todo.pop()
        if digest in found:
            continue
        found.add(digest)
        if made_by:
            into = inputs_handing(records.read(made_by), Handed.WEIGHTS)
            todo += [(item.artifact, item.record) for item in into]
    return found


def common_weight_ancestors(records: Records, models: Iterable[tuple[str, str]]) -> set[str]:
    """Return the checkpoints that the weights of all models come from, or that all of them are."""
    families = [weight_ancestors(records, *model) for model in models]
    return set.intersection(*families) if families else set()


MODELS = frozenset({"checkpoint", "reward_model"})
"""Kinds of artifacts with weights."""


@dataclass(frozen=True, order=True)
class ModelEdge:
    """What the model of one record handed to the model of another, whatever lies between them."""

    parent: str
    child: str
    handed: Handed


def model_edges(records: Records, record: str, base: str) -> list[ModelEdge]:
    """Return what led from a base to a model: its models, and what each handed to the next.

    Data sets between two models are left out: a model that wrote responses from which another one
    learned handed it data, and a reward model that scored them handed it scores.

    Args:
        records: The records of the store.
        record: Record of the model.
        base: Record of the base, behind which nothing is followed.
    """
    edges, seen, todo = set[ModelEdge](), {base}, [record]
    while todo:
        child = todo.pop()
        if child in seen:
            continue
        seen.add(child)
        derivation = records.read(child)
        for item in derivation.inputs:
            what = handed(derivation.kind, item.role)
            for parent, given in _models_behind(records, item, what):
                edges.add(ModelEdge(parent, child, given))
                todo.append(parent)
    return sorted(edges)


def _models_behind(
    records: Records, item: Input, what: Handed | None
) -> Iterator[tuple[str, Handed]]:
    """Yield the models that an input is or came from, with what they handed on through it.

    Prompts that a model's pass rates chose were not written by it: it handed on scores.
    """
    if what is None or not item.record:
        return
    attested = records.output(item.record)
    if attested is not None and attested.output_kind in MODELS:
        yield item.record, what
        return
    derivation = records.read(item.record)
    for source in derivation.inputs:
        given = handed(derivation.kind, source.role)
        chosen = Handed.SCORES if given and what is Handed.SCORES else given
        yield from _models_behind(records, source, chosen)
