"""Tiny teachers in folders, and pools of them."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tasks.model.log_probs import TokenBatch, pad_right
from tasks.mopd.settings import TeacherPlacement
from tasks.mopd.teacher_pool.checkpoint import TeacherSource, digest_folder
from tasks.mopd.teacher_pool.pool import PoolSettings, open_teachers
from tests.support.tiny_models import tiny_model

CPU = torch.device("cpu")
ON_DISK = PoolSettings(
    vocabulary_size=280, temperature=1.0, device=CPU, placement=TeacherPlacement.DISK
)


def saved(model, folder):
    """Write a model and return its folder."""
    model.save_pretrained(folder)
    return folder


def teacher(tmp_path, name, seed, **changed):
    """Return a saved tiny teacher of this seed."""
    return of_folder(name, saved(tiny_model(seed, **changed), tmp_path / f"weights {name}"))


def of_folder(name, folder, base=None):
    """Return a teacher of a folder as it is now."""
    return TeacherSource(name, digest_folder(folder), folder, base)


def change_weights(folder, **tensors):
    """Write these tensors over a saved model's; None takes one out. Dots are written as ``__``."""
    file = folder / "model.safetensors"
    content = load_file(file)
    for name, tensor in tensors.items():
        key = name.replace("__", ".")
        assert key in content
        if tensor is None:
            del content[key]
        else:
            content[key] = tensor
    save_file(content, file, metadata={"format": "pt"})


def batch(*rows) -> TokenBatch:
    """Return rows of ids in which all but the first token are chosen."""
    return pad_right(rows, [[False] + [True] * (len(row) - 1) for row in rows], pad_id=0)


def answers(pool, name, tokens):
    """Return a teacher's logits [N, V]."""
    return pool.logits(name, pool.hidden(name, tokens))


def mapped_files(folder: Path):
    """Return the weight files below a folder that this process has mapped now."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {line.split(maxsplit=5)[5] for line in lines if str(folder) in line}
    return sorted(Path(path).parent.name for path in paths)


def opened(sources, **changed):
    """Return a pool of the sources, on disk unless told otherwise."""
    return open_teachers(sources, replaced(ON_DISK, **changed))


def replaced(settings, **changed):
    """Return settings with some of them changed."""
    return PoolSettings(**{**vars(settings), **changed})
