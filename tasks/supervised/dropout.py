"""Residual dropout for a model that has none of its own: on what each sublayer adds.

Models of today have no place for it, and InstructGPT trained its supervised stage with it
(2203.02155, appendix C). It acts while the model trains; nothing of it is saved.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.functional import dropout
from transformers import PreTrainedModel

from tasks.contracts.refusal import RefusedError

_SUBLAYERS = frozenset({"self_attn", "mlp"})
"""Attention and MLP of a decoder layer, as Llama, Qwen, Gemma, OLMo and their kin name them."""


@contextmanager
def residual_dropout(model: PreTrainedModel, share: float) -> Iterator[None]:
    """Drop a share of the numbers that attention and MLP of each layer add, within the block.

    Raises:
        RefusedError: ``no-dropout`` for a model with other names for them.
    """
    sublayers = [
        module for name, module in model.named_modules() if name.rpartition(".")[2] in _SUBLAYERS
    ]
    if share and not sublayers:
        raise RefusedError(
            "no-dropout",
            f"{type(model).__name__} has no modules {' and '.join(sorted(_SUBLAYERS))} whose "
            "output could be dropped: set dropout to 0",
        )

    def drop(module: nn.Module, _: object, output: Tensor | tuple[Tensor, ...]) -> object:
        if isinstance(output, tuple):
            return (dropout(output[0], share, module.training), *output[1:])
        return dropout(output, share, module.training)

    handles = [module.register_forward_hook(drop) for module in sublayers] if share else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def is_noisy(model: PreTrainedModel) -> bool:
    """Return whether a model in training has a dropout of its own."""
    config = model.config.get_text_config(decoder=True)
    rates = [getattr(config, "attention_dropout", 0.0) or 0.0]
    rates += [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    return any(rates)
