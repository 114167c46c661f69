"""The models and collaborators that a run's settings need, opened and checked before it begins.

Shapes: N response tokens of a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lineage.artifacts import Artifact
from lineage.store.store import Store
from tasks.model.architecture import declared_ends
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.model.log_probs import TokenBatch, chosen_hidden, hidden_log_probs
from tasks.model.settings import Precision
from tasks.model.system_prompt import chat_tokens
from tasks.onpolicy.distributed.sharding import replica
from tasks.platform.ranks import rank_device
from tasks.platform.resume import Part
from tasks.rl.grpo import GroupAdvantage
from tasks.rl.hint import HintTeacher
from tasks.rl.kl import FrozenPolicy
from tasks.rl.other_models import refuse_other_tokens
from tasks.rl.policy_tools import Advantage, PolicyTools
from tasks.rl.ppo import TokenAdvantage
from tasks.rl.pretraining import PretrainingRows, demonstration_rows, text_rows
from tasks.rl.run_spec import RunSpec
from tasks.rl.settings import PRETRAINING_ROWS, REFERENCE_MODEL, RlSettings
from tasks.rl.source import RewardedSource
from tasks.rl.token_numbers import Numbers
from tasks.rl.unlikely import UnlikelyTokens
from tasks.rl.value_start import open_critic
from tasks.rl.variants import KlReference
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import positions_of, stored_demonstrations, stored_texts
from tasks.rollout.texts import TEXT
from tasks.scoring.judge import Judge
from tasks.scoring.reward_model import RewardModelScorer
from tasks.scoring.rewards import Rewards
from tasks.scoring.scorer import ResponseScorer
from tasks.scoring.terms import ScorerTerm


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
    chat = ChatTokens(policy.tokenizer)
    advantage: Advantage = GroupAdvantage(settings.advantage)
    if settings.unlikely is not None:
        advantage = UnlikelyTokens(settings.unlikely)
    if settings.value is not None:
        critic = open_critic(store, spec, policy, settings.value, chat.pad_id)
        advantage = TokenAdvantage(critic, settings.value, settings.loop, chat.pad_id)
        parts["critic"] = critic
    log_probs = PresentLogProbs(policy.model, settings.sampling.temperature)
    rows, teacher = _rows(store, spec, policy, chat), _hint_teacher(spec, policy, log_probs)

    def hints(rollouts: Sequence[Rollout]) -> list[dict[str, Numbers]]:
        assert teacher is not None
        with replica(policy.model):
            return teacher.numbers(source.step, rollouts)

    return RunTools(
        advantage=advantage,
        pad_id=chat.pad_id,
        beside=(lambda: rows.rows(source.step)) if rows is not None else list,
        judge=source.judged,
        activity=source.activity,
        policy=policy.model,
        log_probs=log_probs,
        reference=reference,
        hints=hints if teacher is not None else None,
        parts=parts,
    )


def open_rewards(store: Store, spec: RunSpec) -> Rewards | None:
    """Open the models that score; None where the environment's grade is the reward."""
    settings = spec.settings.rewards
    if settings is None:
        return None
    return Rewards(settings, {term.name: _scorer(store, spec, term) for term in settings.scorers})


def _scorer(store: Store, spec: RunSpec, term: ScorerTerm) -> ResponseScorer:
    if term.judge is None:
        return RewardModelScorer.stored(store, spec.models[term.name])
    policy = load_policy(store.tree(spec.models[term.name].digest))
    nn.Module.to(policy.model, rank_device())
    return Judge(policy, term.judge, spec.seed)


def _hint_teacher(
    spec: RunSpec, policy: Policy, log_probs: Callable[[TokenBatch], Tensor]
) -> HintTeacher | None:
    settings = spec.settings.hint
    if settings is None:
        return None
    # The tokens with which the policy reads its prompts while it samples.
    chat = chat_tokens(policy.tokenizer, spec.system_prompt, declared_ends(policy.model))
    return HintTeacher(settings, chat, log_probs, spec.seed, positions_of(policy))


def _rows(store: Store, spec: RunSpec, policy: Policy, chat: ChatTokens) -> PretrainingRows | None:
    settings = spec.settings.pretraining
    if settings is None:
        return None
    artifact, limit = spec.models[PRETRAINING_ROWS], positions_of(policy)
    if artifact.kind == TEXT:
        texts = [document.text for document in stored_texts(store, artifact)]
        rows = text_rows(chat, texts, settings.row_tokens, limit)
    else:
        rows = demonstration_rows(chat, stored_demonstrations(store, artifact), limit)
    return PretrainingRows(rows, settings, spec.seed)


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
    found = load_policy(store.tree(artifact.digest), takes_images=True)
    refuse_other_tokens("the reference", found, policy)
    computes_in_bf16 = settings.loop.precision is Precision.BF16
    nn.Module.to(found.model, rank_device(), torch.bfloat16 if computes_in_bf16 else None)
    return FrozenPolicy(found.model, settings.sampling.temperature)
