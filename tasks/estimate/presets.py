"""Configs of published models, so that their needs can be estimated without their files.

Each is the part of the model's ``config.json`` that its shapes follow from, as published in its
repository on Hugging Face. The number of parameters that the model card states checks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
)


@dataclass(frozen=True)
class Preset:
    """A published model's config."""

    model_type: str
    """Name of the architecture in transformers."""
    source: str
    """Repository on Hugging Face that the numbers are from."""
    billions: float
    """Parameters in billions, as the model card states them."""
    sizes: tuple[int, int, int, int, int, int, int]
    """Hidden and feed-forward width, layers, query and key heads, head width, vocabulary."""
    is_tied: bool = False
    """Whether the output head is the embedding."""
    more: Mapping[str, int] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, int | bool | str]:
        """The config's entries by name; all of these models are saved in bf16."""
        sizes = dict(zip(_SIZES, self.sizes, strict=True))
        return {**sizes, "tie_word_embeddings": self.is_tied, "dtype": "bfloat16", **self.more}


PRESETS: Mapping[str, Preset] = {
    "smollm2-135m": Preset(
        "llama",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        0.135,
        (576, 1536, 30, 9, 3, 64, 49_152),
        is_tied=True,
    ),
    "qwen3-1.7b": Preset(
        "qwen3", "Qwen/Qwen3-1.7B", 1.7, (2048, 6144, 28, 16, 8, 128, 151_936), is_tied=True
    ),
    "qwen3-8b": Preset("qwen3", "Qwen/Qwen3-8B", 8.2, (4096, 12_288, 36, 32, 8, 128, 151_936)),
    "qwen3-32b": Preset("qwen3", "Qwen/Qwen3-32B", 32.8, (5120, 25_600, 64, 64, 8, 128, 151_936)),
    "qwen3-30b-a3b": Preset(
        "qwen3_moe",
        "Qwen/Qwen3-30B-A3B",
        30.5,
        (2048, 6144, 48, 32, 4, 128, 151_936),
        more={"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
    ),
    "qwen2.5-7b": Preset(
        "qwen2", "Qwen/Qwen2.5-7B-Instruct", 7.6, (3584, 18_944, 28, 28, 4, 128, 152_064)
    ),
    "llama-3.1-8b": Preset(
        "llama", "meta-llama/Llama-3.1-8B-Instruct", 8.0, (4096, 14_336, 32, 32, 8, 128, 128_256)
    ),
    "llama-3.1-70b": Preset(
        "llama", "meta-llama/Llama-3.1-70B-Instruct", 70.6, (8192, 28_672, 80, 64, 8, 128, 128_256)
    ),
}
