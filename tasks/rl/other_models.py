"""Refusal of models that read tokens otherwise than the policy writes them."""

from tasks.contracts.refusal import RefusedError
from tasks.model.architecture import vocabulary_size
from tasks.model.files import Policy
from tasks.model.identity import tokenizer_differences


def refuse_other_tokens(what: str, model: Policy, policy: Policy) -> None:
    """Raise RefusedError for a model that reads tokens otherwise than the policy writes them."""
    if differ := tokenizer_differences(model.tokenizer, policy.tokenizer):
        raise RefusedError(
            "other-tokenizer",
            f"{what} cannot be used: its tokenizer and the policy's differ in "
            f"{'; and in '.join(differ)}. Ids would mean other text to it: pass a model with the "
            "policy's tokenizer",
        )
    sizes = [vocabulary_size(one.model) for one in (model, policy)]
    if sizes[0] != sizes[1]:
        raise RefusedError(
            "other-vocabulary",
            f"{what} has {sizes[0]} tokens in its vocabulary and the policy {sizes[1]}: pass a "
            "model with the policy's vocabulary",
        )
