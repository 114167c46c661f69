"""The models and collaborators that a run's settings need, opened and checked before it begins.

Shapes: N response tokens of a batch.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lineage.artifacts import Artifact
from lineage.store.store import Store
from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.model.identity import tokenizer_differences
from tasks.model.log_probs import TokenBatch, chosen_hidden, hidden_log_probs
from tasks.model.settings import Precision
from tasks.platform.ranks import rank_device
from tasks.platform.resume import Part
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.kl import FrozenPolicy
from tasks.rl.objective import Advantage, PolicyTools
from tasks.rl.run_spec import RunSpec
from tasks.rl.settings import REFERENCE_MODEL, RlSettings
from tasks.rl.source import RewardedSource
from tasks.rl.variants import KlReference
from tasks.scoring.reward_model import RewardModelScorer
from tasks.scoring.rewards import Rewards


@dataclass(frozen=True)
class RunTools(PolicyTools):
    """The tools of a run, with the parts of its state that they are."""

    parts: dict[str, Part] = field(default_factory=dict)


def open_tools(store: Store, spec: RunSpec, policy: Policy, source: RewardedSource) -> RunTools:
    """Open what the settings need beside the policy.

    Raises:
        RefusedError: for a reference with another tokenizer or vocabulary.
    """
    settings, parts = spec.settings, dict[str, Part]()
    reference = None
    if settings.kl is not None:
        given = settings.kl.reference is KlReference.GIVEN
        frozen = spec.models[REFERENCE_MODEL] if given else spec.start
        reference = _reference(store, frozen, policy, settings)
        if settings.kl.reset_every:
            parts["reference"] = reference
    return RunTools(
        advantage=_advantage(settings),
        pad_id=ChatTokens(policy.tokenizer).pad_id,
        judge=source.judged,
        activity=source.activity,
        policy=policy.model,
        log_probs=PresentLogProbs(policy.model, settings.sampling.temperature),
        reference=reference,
        parts=parts,
    )


def open_rewards(store: Store, spec: RunSpec) -> Rewards | None:
    """Open the models that score; None where the environment's grade is the reward."""
    settings = spec.settings.rewards
    if settings is None:
        return None
    scorers = {n: RewardModelScorer.stored(store, spec.models[n]) for n in settings.scorers}
    return Rewards(settings, scorers)


def _advantage(settings: RlSettings) -> Advantage:
    return GroupAdvantage(settings.advantage)


class PresentLogProbs:
    """Log-probabilities of a policy as it is when they are asked for."""

    def __init__(self, model: PreTrainedModel, temperature: float) -> None:
        """Take the policy, which trains."""
        self._model, self._temperature = model, temperature

    @torch.no_grad()
    def __call__(self, tokens: TokenBatch) -> Tensor:
        """Return log p of the chosen tokens [N]."""
        tokens = tokens.to(self._model.device)
        hidden_ND = chosen_hidden(self._model, tokens)
        return hidden_log_probs(self._model, hidden_ND, tokens.tokens_N, self._temperature)


def _reference(
    store: Store, artifact: Artifact, policy: Policy, settings: RlSettings
) -> FrozenPolicy:
    found = load_policy(store.tree(artifact.digest))
    refuse_other_tokens("the reference", found, policy)
    computes_in_bf16 = settings.loop.precision is Precision.BF16
    nn.Module.to(found.model, rank_device(), torch.bfloat16 if computes_in_bf16 else None)
    return FrozenPolicy(found.model, settings.sampling.temperature)


def refuse_other_tokens(what: str, model: Policy, policy: Policy) -> None:
    """Raise RefusedError for a model that reads tokens otherwise than the policy writes them."""
    if differ := tokenizer_differences(model.tokenizer, policy.tokenizer):
        raise RefusedError(
            "other-tokenizer",
            f"{what} cannot be used: its tokenizer and the policy's differ in "
            f"{'; and in '.join(differ)}. Ids would mean other text to it: pass a model with the "
            "policy's tokenizer",
        )
    sizes = [one.model.config.vocab_size for one in (model, policy)]
    if sizes[0] != sizes[1]:
        raise RefusedError(
            "other-vocabulary",
            f"{what} has {sizes[0]} tokens in its vocabulary and the policy {sizes[1]}: pass a "
            "model with the policy's vocabulary",
        )
