"""The loss of DPO and its variants, as a formula of log-probabilities.

With the log-ratio h = log pi(y) - log pi_ref(y) of a response, summed over its compared tokens:

    plain                -log sigmoid(beta (h_chosen - h_rejected))          2305.18290, equation 7
    length-normalized    the same, each h divided by its number of tokens    2411.15124, section 5
    with likelihood      + weight x the mean of -log pi over y_chosen        2407.21783, 4.1.4

The likelihood is a mean over all tokens of the chosen response, also over those that the comparison
leaves out (2404.19733, equation 1, without the prompt). Shapes: P comparisons.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from tasks.preference.settings import PreferenceSettings


@dataclass(frozen=True)
class SideLogProbs:
    """Log-probabilities of one side's responses in nats, summed over the compared tokens."""

    policy_P: Tensor
    reference_P: Tensor
    num_tokens_P: Tensor
    """Number of compared tokens."""

    @property
    def ratio_P(self) -> Tensor:
        """The log-ratio of policy and reference."""
        return self.policy_P - self.reference_P


@dataclass(frozen=True)
class ComparisonBatch:
    """What the loss of a batch of comparisons is made of."""

    chosen: SideLogProbs
    rejected: SideLogProbs
    likelihood_P: Tensor
    """Mean log-probability of the chosen response over all of its tokens."""


def preference_loss(batch: ComparisonBatch, settings: PreferenceSettings) -> Tensor:
    """Return the mean loss of a batch."""
    loss: Tensor = -logsigmoid(lead(batch, settings)).mean()
    if settings.nll_weight:
        loss = loss - settings.nll_weight * batch.likelihood_P.mean()
    return loss


def lead(batch: ComparisonBatch, settings: PreferenceSettings) -> Tensor:
    """Return by how much the implied reward of each chosen response leads that of the rejected."""
    chosen_P, rejected_P = batch.chosen.ratio_P, batch.rejected.ratio_P
    if settings.length_normalized:
        chosen_P = chosen_P / batch.chosen.num_tokens_P
        rejected_P = rejected_P / batch.rejected.num_tokens_P
    return settings.beta * (chosen_P - rejected_P)


def measured(batch: ComparisonBatch, settings: PreferenceSettings) -> dict[str, float]:
    """Return what is logged of a batch.

    ``margin`` and ``accuracy`` are of the implied rewards. Log-probabilities are in nats per
    response, ``likelihood`` in nats per token. ``drift`` is the mean of log pi_ref - log pi per
    token over both sides: where the reference wrote them, an estimate of KL(reference ‖ policy).
    """
    lead_P = lead(batch, settings).detach()
    sides = (batch.chosen, batch.rejected)
    drifts = [(-side.ratio_P / side.num_tokens_P).mean().item() for side in sides]
    return {
        "margin": lead_P.mean().item(),
        "accuracy": (lead_P > 0).float().mean().item(),
        "log_prob_chosen": batch.chosen.policy_P.mean().item(),
        "log_prob_rejected": batch.rejected.policy_P.mean().item(),
        "likelihood": batch.likelihood_P.mean().item(),
        "drift": sum(drifts) / 2,
    }
