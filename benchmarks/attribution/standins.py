"""What may stand in for a retrain without a teacher: how far its words are from it, and its score.

Shapes: N answer tokens of all questions together, A answers, V vocabulary.
"""

import statistics
from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.attribution.questions import exam
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
        cut = {name: self.without(student, teacher, share) for name, share in SURGERIES.items()}
        cut["less what others took back"] = self._netted(student, teacher)
        found = {"a retrain": retrain, "the student": student, **cut, **others}
        truth_NV = self._distributions(retrain, self._behaviors.tokens)
        return {
            name: {"kl": round(self._kl(truth_NV, weights), 5), **self._scores(weights, teacher)}
            for name, weights in found.items()
        }

    def without(self, student: Weights, teacher: str, share: float = 1.0) -> dict[str, Tensor]:
        """Return a student with this share of a teacher's displacement taken out."""
        moved = self._moved[teacher]
        return {name: tensor - share * moved[name] for name, tensor in student.items()}

    def _netted(self, student: Weights, teacher: str) -> dict[str, Tensor]:
        """Return a student without a teacher's displacement, less what others took back of it.

        In its absence they would have had nothing to take back: of each parameter, their
        displacements' part against the teacher's own goes with it.
        """
        changed = {}
        for name, tensor in student.items():
            own = self._moved[teacher][name]
            against = [
                float((self._moved[other][name] * own).sum() / own.square().sum().clamp(min=1e-12))
                for other in TEACHERS
                if other != teacher
            ]
            left = 1 + sum(min(0.0, share) for share in against)
            changed[name] = tensor - max(0.0, left) * own
        return changed

    def _scores(self, weights: Weights, teacher: str) -> dict[str, float]:
        tokens = self._exam.tokens
        likeliest_N = self._distributions(weights, tokens).argmax(-1) == tokens.tokens_N
        missed_A = self._exam.total((~likeliest_N).float())
        right = {"own plants": [], "own style": [], "others": []}  # type: dict[str, list[float]]
        for item, missed in zip(self._taught, missed_A.tolist(), strict=True):
            if item.teacher == teacher:
                right["own plants"].append(float(missed == 0))
            elif item.behavior.domain != office_of(teacher):
                right["others"].append(float(missed == 0))
            elif not item.teacher:
                right["own style"].append(float(missed == 0))
        return {kind: round(statistics.fmean(own), 4) for kind, own in right.items()}

    def _kl(self, truth_NV: Tensor, weights: Weights) -> float:
        """Return the mean KL(truth || weights) over the behaviors' tokens, in nats."""
        other_NV = self._distributions(weights, self._behaviors.tokens)
        return float((truth_NV.exp() * (truth_NV - other_NV)).sum(-1).mean())

    @torch.no_grad()
    def _distributions(self, weights: Weights, tokens: TokenBatch) -> Tensor:
        """Return log p [N, V] of every word where these tokens stand."""
        self._policy.model.load_state_dict(dict(weights), strict=False)
        return chosen_logits(self._policy.model, tokens).log_softmax(-1)


def _moved(ledger: Ledger, teacher: str) -> dict[str, Tensor]:
    """Return what a teacher's updates added over all of training."""
    total: dict[str, Tensor] = {}
    for segment in ledger.manifest.segments:
        for name, tensor in ledger.displacement(segment, teacher).items():
            total[name] = total[name] + tensor if name in total else tensor
    return total
