"""What a folder from elsewhere may hold: safetensors are read, every other format is refused."""

from collections.abc import Sequence
from pathlib import Path

from tasks.contracts.refusal import RefusedError

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".distcp")
"""Endings of files that are, or hold, pickles."""
_ADAPTER = "adapter_config.json"


def refuse_other_weights(place: Path) -> None:
    """Refuse a folder or a file whose weights are not a whole model in safetensors.

    Raises:
        RefusedError: for an adapter, GGUF, pickles, and a folder without config or weights.
    """
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    names = {file.name for file in files}
    if _ADAPTER in names:
        raise RefusedError(
            "adapter-as-model",
            f"{place} holds an adapter, which is only a part of a model: merge it into its base "
            "(PEFT's merge_and_unload) and save the whole. An adapter of the fork point can teach: "
            "`provost teacher import`",
        )
    if not any(name.endswith(".safetensors") for name in names):
        raise _other_format(place, files)
    if place.is_file() or "config.json" not in names:
        raise RefusedError(
            "no-config",
            f"{place} has no config.json, so the shape of the model is unknown: give the folder "
            "that save_pretrained wrote",
        )


def _other_format(place: Path, files: Sequence[Path]) -> RefusedError:
    """Return the refusal of a place without safetensors."""
    gguf = [file.name for file in files if file.suffix == ".gguf"]
    if gguf:
        return RefusedError(
            "gguf-weights",
            f"{place} holds {gguf[0]}, which is quantized for inference and cannot be trained: "
            "give the original model. If that is gone, load the file with transformers "
            "(from_pretrained with gguf_file), and save it with save_pretrained",
        )
    pickled = [file.name for file in files if file.suffix in _PICKLES]
    if pickled:
        return RefusedError(
            "pickled-weights",
            f"{place} holds {pickled[0]} and no safetensors. A pickle can run code when it is "
            "read, so it never is: where you trust it, load it and save it with save_pretrained; "
            "for the shards of a trainer (verl, NeMo RL, DeepSpeed), use its converter to a "
            "Hugging Face folder",
        )
    return RefusedError(
        "no-weights",
        f"{place} has no weights: there is no file *.safetensors among its {len(files)} files. "
        "Give a folder with config.json, safetensors and tokenizer, as save_pretrained writes it",
    )
