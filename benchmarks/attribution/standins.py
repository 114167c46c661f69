"""What may stand in for a retrain without a teacher: how far its words are from it, and its score.

Shapes: N answer tokens of all questions together, A answers, V vocabulary.
"""

import statistics
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.attribution.questions import Asked, exam
from benchmarks.attribution.world import TEACHERS, World, office_of
from tasks.attribution.behavior import Encoded, encode
from tasks.attribution.trajectory import Weights
from tasks.ledger.reader import Ledger
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.model.log_probs import TokenBatch, chosen_logits

SURGERIES = {"surgery": 1.0, "three quarters": 0.75, "half of it": 0.5, "a quarter": 0.25}
"""How much of the teacher's displacement is taken out."""


class StandIns:
    """Compares students with a retrain: on a set's behaviors, and on all that was taught."""

    def __init__(self, world: World, policy: Policy, behaviors: Encoded, ledger: Ledger) -> None:
        """Take the student's ledger; the policy gives tokens and the architecture."""
        self._policy, self._behaviors = policy, behaviors
        self._taught = exam(world)
        self._exam = encode(
            [item.behavior for item in self._taught], ChatTokens(policy.tokenizer), None
        )
        self._moved = {teacher: _moved(ledger, teacher) for teacher in TEACHERS}

    def compare(
        self, teacher: str, retrain: Weights, others: Mapping[str, Weights], student: Weights
    ) -> dict[str, dict[str, float]]:
        """Return of the student, surgeries and ``others`` the KL to a retrain, and the score.

        The score is the share of answers that are given, word by word the likeliest: of the absent
        teacher's own plants, of its office's style, and of all that others taught elsewhere.
        """
        cut: dict[str, Weights] = {
            name: without(student, self._moved[teacher], share) for name, share in SURGERIES.items()
        }
        cut["less what others took back"] = netted(student, self._moved, teacher)
        found = {"a retrain": retrain, "the student": student, **cut, **others}
        truth_NV = self._distributions(retrain, self._behaviors.tokens)
        return {
            name: {
                "kl": round(
                    mean_kl(truth_NV, self._distributions(weights, self._behaviors.tokens)), 5
                ),
                **right_shares(self._taught, self._missed(weights), teacher),
            }
            for name, weights in found.items()
        }

    def without(self, student: Weights, teacher: str) -> dict[str, Tensor]:
        """Return a student without a teacher's displacement."""
        return without(student, self._moved[teacher], 1.0)

    def _missed(self, weights: Weights) -> list[float]:
        """Return for each answer of the exam how many of its words are not the likeliest."""
        tokens = self._exam.tokens
        likeliest_N = self._distributions(weights, tokens).argmax(-1) == tokens.tokens_N
        missed: list[float] = self._exam.total((~likeliest_N).float()).tolist()
        return missed

    @torch.no_grad()
    def _distributions(self, weights: Weights, tokens: TokenBatch) -> Tensor:
        """Return log p [N, V] of every word where these tokens stand."""
        self._policy.model.load_state_dict(dict(weights), strict=False)
        return chosen_logits(self._policy.model, tokens).log_softmax(-1)


def without(student: Weights, moved: Weights, share: float) -> dict[str, Tensor]:
    """Return a student with this share of a displacement taken out."""
    return {name: tensor - share * moved[name] for name, tensor in student.items()}


def netted(student: Weights, moved: Mapping[str, Weights], teacher: str) -> dict[str, Tensor]:
    """Return a student without a teacher's displacement, less what others took back of it.

    In its absence they would have had nothing to take back: of each parameter, their
    displacements' part against the teacher's own goes with it.
    """
    changed = {}
    for name, tensor in student.items():
        own = moved[teacher][name]
        against = [
            float((other[name] * own).sum() / own.square().sum().clamp(min=1e-12))
            for of, other in moved.items()
            if of != teacher
        ]
        left = 1 + sum(min(0.0, share) for share in against)
        changed[name] = tensor - max(0.0, left) * own
    return changed


def mean_kl(truth_NV: Tensor, other_NV: Tensor) -> float:
    """Return the mean KL(truth || other) over tokens, in nats; arguments are log-probabilities."""
    return float((truth_NV.exp() * (truth_NV - other_NV)).sum(-1).mean())


def right_shares(
    taught: Sequence[Asked], missed: Sequence[float], teacher: str
) -> dict[str, float]:
    """Return the shares of answers given word by word, by who taught them.

    Args:
        taught: All that was taught, of all teachers.
        missed: For each answer, how many of its words are not the likeliest.
        teacher: Who is absent.
    """
    right: dict[str, list[bool]] = {"own plants": [], "own style": [], "others": []}
    for item, words in zip(taught, missed, strict=True):
        if item.teacher == teacher:
            right["own plants"].append(words == 0)
        elif item.behavior.domain != office_of(teacher):
            right["others"].append(words == 0)
        elif not item.teacher:
            right["own style"].append(words == 0)
    return {kind: round(statistics.fmean(own), 4) for kind, own in right.items()}


def _moved(ledger: Ledger, teacher: str) -> dict[str, Tensor]:
    """Return what a teacher's updates added over all of training."""
    total: dict[str, Tensor] = {}
    for segment in ledger.manifest.segments:
        for name, tensor in ledger.displacement(segment, teacher).items():
            total[name] = total[name] + tensor if name in total else tensor
    return total
