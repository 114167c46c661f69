"""Rehearsal: a run made again without some of its teachers, from the rollouts that its ledger kept.

What the other teachers would have done is then computed and not assumed, on what the student said
while all of them were there. Nothing is sampled, so it costs less than a retrain.

Shapes: C tokens of a chunk of a microbatch, V vocabulary.
"""

from dataclasses import replace

from torch import Tensor

from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.microbatch import Microbatch
from tasks.onpolicy.objective import ChunkLoss, TokenLoss
from tasks.onpolicy.replay import Kept
from tasks.progress import report

TAIL = 0.25
"""Of the run, its last part: there the weights still jump from step to step, and their mean says
better what such runs end with than the last of them."""


class KeptWithout(Kept):
    """A run's kept rollouts, with each token counted as if the learner had said it itself.

    An importance correction drops tokens of which sampler and learner think apart. In a run that
    guards against a sampler with faulty numerics. Here the learner is another student than the one
    who spoke, and the tokens of which they think apart are those that a teacher's absence changes:
    to drop them is to drop the answer (docs/attribution.md has the figures).
    """

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        """Return the losses of the run's objective, where every importance ratio is 1."""
        said_N = batch.sampler_log_probs_N.clone()
        losses = super().prepare(replace(batch, sampler_log_probs_N=said_N))

        def own(student_CV: Tensor, chunk: slice) -> TokenLoss:
            said_N[chunk] = token_log_probs(student_CV.detach(), batch.tokens.tokens_N[chunk])
            return losses(student_CV, chunk)

        return own


def rehearse(learner: Learner, kept: KeptWithout) -> dict[str, Tensor]:
    """Return the weights that a run ends with when it is made again: their mean over its ``TAIL``.

    Args:
        learner: With ``settings_for_replay``. Its model must hold the weights that the run began
            with, and is given up to this.
        kept: The run's objective on its kept rollouts, some teachers masked.
    """
    steps = kept.steps
    first_of_tail = len(steps) - max(1, round(TAIL * len(steps)))
    mean: dict[str, Tensor] = {}
    for place, step in enumerate(steps):
        learner.update(kept, kept.scored(step), step)
        report("rehearse", step, steps[-1])
        if place < first_of_tail:
            continue
        for name, tensor in learner.optimizer.masters().items():
            share = 1 / (place - first_of_tail + 1)
            mean[name] = tensor.clone() if name not in mean else mean[name].lerp(tensor, share)
    return mean
