"""The sampling engine that the settings name, opened for a policy."""

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy
from tasks.model.images import reads_images
from tasks.rollout.sampling.sampler import Sampler
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings


def make_sampler(policy: Policy, chat: ChatTokens, settings: SamplingSettings) -> Sampler:
    """Return a sampler of a policy in this process; its weights may change between calls."""
    match settings.engine:
        case SamplingEngine.TRANSFORMERS:
            return TransformersSampler(
                policy.model, chat.end_id, chat.pad_id, settings, chat.end_ids
            )
        case SamplingEngine.VLLM:
            if reads_images(policy.model.config):
                raise RefusedError(
                    "images-not-served",
                    "a vLLM server samples text alone here, and the policy reads images too: "
                    "choose the engine transformers",
                )
            return VllmSampler(policy.model, chat.end_id, settings, chat.end_ids)
