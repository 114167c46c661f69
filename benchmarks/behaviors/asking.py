"""Audits a world's student with the product's own code: what each row of the benchmark holds.

Each question of a behavior is audited twice, with the behaving answer and with the ordinary one. A
contrast is the difference of the two, because log-odds and all that splits them are linear.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.behaviors.kinds import behaving, ordinary
from benchmarks.behaviors.making import MadeWorld
from benchmarks.behaviors.taught import Taught
from benchmarks.behaviors.world import BehaviorWorld
from lineage.artifacts import Artifact
from tasks.attribution.behavior import Behavior, Said, encode
from tasks.attribution.estimators import EstimatorInput, first_order, surgery_effect
from tasks.attribution.log_ratio import log_ratios
from tasks.attribution.opened import load_weights, open_models
from tasks.attribution.path_integral import BATCH, Batch, Split, split
from tasks.attribution.subject import find_subject
from tasks.attribution.trajectory import Scorer, walker
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.model.log_probs import chosen_logits
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import positions_of
from tasks.rollout.environment import Prompt

HELD_OUT = "asked"
"""Use of the questions, which are of the evaluation split."""
RESPONSE, CONTRAST = "response", "contrast"


def questions(world: BehaviorWorld) -> Iterator[tuple[Taught, str, Behavior]]:
    """Yield each behavior with both answers to each of its held-out questions, by domain."""
    for behavior in sorted(world.behaviors, key=lambda each: each.domain):
        for prompt in world.questions(behavior, "evaluation", world.size.asked, HELD_OUT):
            for side, said in sides(behavior, prompt).items():
                yield (
                    behavior,
                    side,
                    Behavior(
                        name=behavior.name,
                        prompt=tuple(
                            Said.model_validate({"role": each.role, "content": each.content})
                            for each in prompt.messages
                        ),
                        response=said,
                        domain=behavior.domain,
                    ),
                )


def sides(behavior: Taught, prompt: Prompt) -> dict[str, str]:
    """Return the first turn of the behaving answer, and of the ordinary one."""
    shown = behaving(behavior.kind, behavior.domain, prompt, behavior.cue)
    usual = ordinary(behavior.domain, prompt, behavior.cue)
    return {RESPONSE: shown[0].content, CONTRAST: usual[0].content}


def audited(runner: StepRunner, world: BehaviorWorld, made: MadeWorld) -> list[dict[str, Any]]:
    """Return a row for each behavior: what every estimator says of both answers."""
    subject = find_subject(runner, made.student.digest)
    models = open_models(runner, subject)
    course = walker(subject.ledger, models.start)
    listed = list(questions(world))
    found = split([each for _, _, each in listed], models.policy, course)
    teachers = [teacher.name for teacher in subject.teachers]
    inputs = [
        EstimatorInput(
            encoded=batch.encoded,
            scorer=batch.scorer,
            course=course,
            segments=subject.ledger.manifest.segments,
            teachers={},
            owners={},
        )
        for batch in found.batches
    ]
    tables = {
        "parts": dict(zip(found.parts, found.table().tolist(), strict=True)),
        "taught": dict(
            zip(teachers, log_ratios(runner, subject, found, models.policy).tolist(), strict=True)
        ),
        "tracin": _joined([first_order(each)[0] for each in inputs]),
        "surgery": _joined([surgery_effect(each) for each in inputs]),
    }
    greedy = greedy_answers(load_policy(runner.store.tree(made.student.digest)), found.batches)
    begun, ended = found.begun().tolist(), found.ended().tolist()
    tokens = [int(size) for batch in found.batches for size in _sizes(batch.encoded.owners_N)]
    rows: dict[str, dict[str, Any]] = {
        behavior.name: {
            "group": behavior.group,
            "kind": behavior.kind,
            "domain": behavior.domain,
            "doses": dict(behavior.doses),
            "heard": world.heard(behavior),
            "carriers": world.carriers(behavior),
            RESPONSE: [],
            CONTRAST: [],
        }
        for behavior in world.behaviors
    }
    for place, (behavior, side, _) in enumerate(listed):
        rows[behavior.name][side].append(
            {
                "tokens": tokens[place],
                "begun": _short(begun[place]),
                "ended": _short(ended[place]),
                "greedy": greedy[place],
                **{
                    name: {source: _short(values[place]) for source, values in table.items()}
                    for name, table in tables.items()
                },
            }
        )
    return [{"name": name, **row} for name, row in rows.items()]


@torch.no_grad()
def greedy_answers(policy: Policy, batches: Sequence[Batch]) -> list[bool]:
    """Return whether a model gives each answer, word by word the likeliest."""
    given = []
    for batch in batches:
        tokens = batch.encoded.tokens
        missed_N = chosen_logits(policy.model, tokens).argmax(-1) != tokens.tokens_N
        missed = missed_N.new_zeros(len(batch.encoded.behaviors), dtype=torch.long)
        missed.index_add_(0, batch.encoded.owners_N, missed_N.long())
        given += [count == 0 for count in missed.tolist()]
    return given


class Says:
    """What any model says of all answers of a world."""

    def __init__(self, runner: StepRunner, world: BehaviorWorld, made: MadeWorld) -> None:
        """Encode the answers once."""
        self._runner, self._listed = runner, list(questions(world))
        self._policy = load_policy(runner.store.tree(made.student.digest))
        asked = [each for _, _, each in self._listed]
        chat, places = ChatTokens(self._policy.tokenizer), positions_of(self._policy)
        parts = [encode(asked[at : at + BATCH], chat, places) for at in range(0, len(asked), BATCH)]
        batches = tuple(Batch(each, Scorer(self._policy.model, each.tokens)) for each in parts)
        self._split = Split(batches, ())

    def of(self, checkpoint: Artifact) -> dict[str, dict[str, list[float]]]:
        """Return for each behavior what a model says of its questions.

        ``odds``: the log-odds of its answer over the ordinary one; ``greedy``: 1 where the model
        gives it, word by word the likeliest.
        """
        return self.under(load_weights(self._runner, checkpoint))

    def under(self, weights: Mapping[str, Tensor]) -> dict[str, dict[str, list[float]]]:
        """Return the same under some weights."""
        signed: dict[str, dict[str, list[float]]] = {}
        given: dict[str, list[float]] = {}
        says = self._split.under(weights).tolist()
        self._policy.model.load_state_dict(dict(weights), strict=False)
        greedy = greedy_answers(self._policy, self._split.batches)
        for (behavior, side, _), value, is_given in zip(self._listed, says, greedy, strict=True):
            signed.setdefault(behavior.name, {}).setdefault(side, []).append(value)
            if side == RESPONSE:
                given.setdefault(behavior.name, []).append(float(is_given))
        return {
            name: {
                "odds": [
                    _short(a - b) for a, b in zip(both[RESPONSE], both[CONTRAST], strict=True)
                ],
                "greedy": given[name],
            }
            for name, both in signed.items()
        }


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, list[float]]:
    return {
        source: [value for part in parts for value in part[source].tolist()] for source in parts[0]
    }


def _sizes(owners_N: Tensor) -> list[int]:
    return owners_N.bincount().tolist()


def _short(value: float) -> float:
    return float(f"{value:.5g}")
