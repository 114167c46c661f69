"""KL of the policy to a frozen reference: its estimators, and the reference itself.

Shapes: C response tokens of a chunk, N of a microbatch. Numbers are in nats.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.log_probs import TokenBatch, chosen_hidden, hidden_log_probs
from tasks.platform.ranks import rank
from tasks.rl.surrogate import Surrogate
from tasks.rl.variants import KlEstimator

REFERENCE = "reference"
"""Name of the numbers that are the reference's log-probabilities."""
_WEIGHTS = "weights.safetensors"


def estimate_kl(log_ratio_C: Tensor, estimator: KlEstimator) -> Tensor:
    """Return the KL estimate of each token from log(p_reference / p_policy)."""
    if estimator is KlEstimator.K1:
        return -log_ratio_C
    return log_ratio_C.exp() - 1 - log_ratio_C


def kl_loss(
    student_C: Tensor, reference_C: Tensor, taken: Surrogate, estimator: KlEstimator
) -> tuple[Tensor, Tensor]:
    """Return the loss of each token for a coefficient of 1, and its KL estimate.

    k1 is the policy gradient with the log-ratio as its advantage, under the weight of the token's
    own policy gradient. k3 is differentiated as it is, and its corrected form with its ratio.
    """
    log_ratio_C = reference_C - student_C
    value_C = estimate_kl(log_ratio_C, estimator)
    match estimator:
        case KlEstimator.K1:
            return taken.weight_C * value_C.detach() * student_C, value_C.detach()
        case KlEstimator.K3:
            return value_C, value_C.detach()
        case KlEstimator.CORRECTED_K3:
            loss_C = taken.ratio_C * value_C
            return loss_C, loss_C.detach()


class FrozenPolicy:
    """A frozen policy, on every rank whole."""

    def __init__(self, model: PreTrainedModel, temperature: float) -> None:
        """Freeze the model; log-probabilities are taken at the sampling ``temperature``."""
        self._model = model.eval().requires_grad_(requires_grad=False)
        self._temperature = temperature
        write_norms_by_hand(model)

    @torch.no_grad()
    def log_probs(self, tokens: TokenBatch) -> Tensor:
        """Return log p of the chosen tokens [N]."""
        tokens = tokens.to(self._model.device)
        hidden_ND = chosen_hidden(self._model, tokens)
        return hidden_log_probs(self._model, hidden_ND, tokens.tokens_N, self._temperature)

    @torch.no_grad()
    def become(self, policy: PreTrainedModel) -> None:
        """Take the present weights of the policy."""
        weights = dict(policy.named_parameters())
        for name, parameter in self._model.named_parameters():
            parameter.copy_(weights[name])

    def save(self, folder: Path) -> None:
        """Write the weights, which are no longer those of a checkpoint."""
        if rank() == 0:
            weights = {n: p.detach().contiguous() for n, p in self._model.named_parameters()}
            save_file(weights, folder / _WEIGHTS)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go on with what ``save`` wrote."""
        weights = load_file(folder / _WEIGHTS)
        for name, parameter in self._model.named_parameters():
            parameter.copy_(weights[name])
