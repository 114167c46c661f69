"""How far the student is from the rungs of a teacher's climb, one forward pass a rung.

Shapes: N response tokens of a batch, D hidden size, V vocabulary. Everything is in nats.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tasks.gate.reading import batches
from tasks.model.log_probs import TokenBatch, chosen_hidden, chosen_logits, head_logits
from tasks.rollout.collect import Rollout


class StudentStates:
    """The student's last hidden states on its own rollouts, in host memory for every rung."""

    @torch.no_grad()
    def __init__(self, student: PreTrainedModel, rollouts: Sequence[Rollout], pad_id: int) -> None:
        """Let the student read its rollouts once."""
        self._student = student
        self._read: list[tuple[TokenBatch, Tensor]] = []
        for batch, _ in batches(rollouts, pad_id):
            batch = batch.to(student.device)
            self._read.append((batch, chosen_hidden(student, batch).cpu()))

    @torch.no_grad()
    def kl_to(self, rung: PreTrainedModel) -> float:
        """Return KL(student || rung), the mean over response tokens; NaN where it has no numbers.

        Raises:
            ValueError: for rollouts without a response token.
        """
        total, tokens = 0.0, 0
        for batch, hidden_ND in self._read:
            student_NV = head_logits(self._student, hidden_ND.to(rung.device)).log_softmax(-1)
            rung_NV = chosen_logits(rung, batch).log_softmax(-1)
            total += float((student_NV.exp() * (student_NV - rung_NV)).sum(dtype=torch.float64))
            tokens += len(hidden_ND)
        if not tokens:
            raise ValueError(
                "the student's rollouts hold no response token, so no rung can be measured: look "
                "whether the student ends its turn at once"
            )
        return total / tokens
