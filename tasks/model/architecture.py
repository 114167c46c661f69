"""What a config and a model say of their architecture: class, attention, body, text part."""

from typing import cast

from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from tasks.contracts.refusal import RefusedError


def attention_for(config: PretrainedConfig) -> str:
    """Return the attention implementation of a model: "sdpa", or "eager" if it has no other.

    gpt-oss (attention sinks), Gemma 2 (capped scores), Bloom and state-space models have no sdpa.
    """
    return "sdpa" if getattr(model_class(config), "_supports_sdpa", False) else "eager"


def model_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """Return the class of a causal LM with this config.

    Raises:
        RefusedError: for a model of several parts, such as text and images, or no causal LM.
    """
    if config.get_text_config(decoder=True) is not config:
        raise RefusedError(
            "nested-config",
            f"{type(config).__name__} describes a model of several parts, and only its text model "
            "can be trained here: import the checkpoint (`provost checkpoint import`), which "
            "keeps the text model alone",
        )
    try:
        found = AutoModelForCausalLM._model_mapping[type(config)]
    except KeyError as error:
        raise RefusedError(
            "no-causal-lm",
            f"transformers has no causal LM for {type(config).__name__}: give a model that "
            "continues text",
        ) from error
    return cast("type[PreTrainedModel]", found[0] if isinstance(found, tuple) else found)


def declared_ends(model: PreTrainedModel) -> set[int]:
    """Return the tokens that end a text of a model, as config and generation config list them."""
    ends: set[int] = set()
    for config in (model.config, model.generation_config):
        declared = getattr(config, "eos_token_id", None)
        ends |= {declared} if isinstance(declared, int) else set(declared or ())
    return ends


def body_of(model: PreTrainedModel) -> PreTrainedModel:
    """Return the part of a causal LM that ends with the last hidden states."""
    body = model.base_model
    # Llama 4's text model names another prefix than its attribute, so it is its own base model.
    return cast("PreTrainedModel", body if body is not model else getattr(model, "model", model))
