"""Opens the engine that the settings name."""

from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.rollout.sampling.sampler import Sampler
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings


def make_sampler(policy: Policy, chat: ChatTokens, settings: SamplingSettings) -> Sampler:
    """Return a sampler of a policy in this process; its weights may change between calls."""
    match settings.engine:
        case SamplingEngine.TRANSFORMERS:
            return TransformersSampler(policy.model, chat.end_id, chat.pad_id, settings)
        case SamplingEngine.VLLM:
            return VllmSampler(policy.model, chat.end_id, settings)
