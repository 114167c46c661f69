"""Opens the value network that a run's settings ask for."""

import torch
from torch import nn
from transformers import PreTrainedModel

from lineage.store.store import Store
from tasks.contracts.refusal import RefusedError
from tasks.model.files import Policy
from tasks.model.scalar_head import drawn_scalar_model, head_shapes, with_scalar_head
from tasks.platform.ranks import rank_device
from tasks.rl.actor_critic import ValueSettings, ValueStart
from tasks.rl.critic import Critic
from tasks.rl.other_models import refuse_other_tokens
from tasks.rl.run_spec import RunSpec
from tasks.rl.settings import VALUE_MODEL
from tasks.scoring.reward_model import load_reward_model


def open_critic(
    store: Store, spec: RunSpec, policy: Policy, settings: ValueSettings, pad_id: int
) -> Critic:
    """Return the critic of a run, in fp32.

    Raises:
        RefusedError: ``value-head-size`` for a reward model with another head than one number;
            ``other-tokenizer`` or ``other-vocabulary`` for one that reads other tokens.
    """
    bias, model = 0.0, None
    match settings.start:
        case ValueStart.REWARD_MODEL:
            model, bias = _of_reward_model(store, spec, policy)
        case ValueStart.POLICY:
            model = with_scalar_head(store.tree(spec.start.digest), spec.seed, pad_id)
        case ValueStart.RANDOM:
            model = drawn_scalar_model(store.tree(spec.start.digest), spec.seed, pad_id)
    nn.Module.to(model, rank_device(), torch.float32)
    return Critic(model, settings, bias, pad_id)


def _of_reward_model(store: Store, spec: RunSpec, policy: Policy) -> tuple[PreTrainedModel, float]:
    folder = store.tree(spec.models[VALUE_MODEL].digest)
    shapes = head_shapes(folder)
    if [shape[0] for shape in shapes] != [1]:
        raise RefusedError(
            "value-head-size",
            f"the head of {spec.models[VALUE_MODEL].digest} has the shapes {shapes}, but a value "
            "is one number: pass a reward model with one label, or let the value network start "
            "from the policy",
        )
    found = load_reward_model(folder)
    refuse_other_tokens("the value network", Policy(found.model, found.tokenizer), policy)
    return found.model, found.bias
