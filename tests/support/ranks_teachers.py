"""What each rank runs in ``test_sharded_teachers``: it scores its microbatches with all teachers.

``python ranks_teachers.py FOLDER`` reads teachers.json there: name, digest, folder, base of each.
Every rank has other microbatches, and the last one has none of the first teacher. Each writes the
logits that it got, and what it holds at the end.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tasks.mopd.settings import TeacherPlacement
from tasks.mopd.teacher_pool.checkpoint import CheckpointFolder, TeacherSource
from tasks.mopd.teacher_pool.sharded_pool import LockstepCache, open_sharded_teachers
from tasks.mopd.teachers import StagedTeachers
from tasks.platform.ranks import joined_ranks, num_ranks, rank
from tests.support.pool_teachers import ON_DISK, batch, replaced

SETTINGS = replaced(ON_DISK, placement=TeacherPlacement.SHARDED, temperature=0.7)


def sources(folder):
    """Return the teachers that teachers.json names."""
    told = json.loads((folder / "teachers.json").read_text())
    return [
        TeacherSource(
            one["name"],
            one["digest"],
            Path(one["folder"]),
            CheckpointFolder(one["base"][0], Path(one["base"][1])) if one.get("base") else None,
        )
        for one in told
    ]


def requests(names, of_rank, ranks):
    """Return a rank's microbatches in order: as many as its number and one more of each teacher."""
    return [
        (name, batch([5 + of_rank, 6, 7, 8 + place], [9, 10 + of_rank, 11 + place]))
        for number, name in enumerate(names)
        for place in range(of_rank + 1)
        if number > 0 or of_rank < ranks - 1
    ]


def scored(teachers, wanted):
    """Return the logits of each microbatch, in chunks, which ranks have different numbers of."""
    found = []
    for name, tokens in wanted:
        hidden_ND = teachers.hidden(name, tokens)
        found.append(torch.cat([teachers.logits(name, part) for part in hidden_ND.split(2)]))
    return found


def main(folder):
    teachers = sources(folder)
    pool = open_sharded_teachers(teachers, SETTINGS)
    names = [source.name for source in teachers]
    staged = StagedTeachers(LockstepCache(pool), [{name: name for name in names}], num_steps=2)
    wanted = requests(names, rank(), num_ranks())
    again = wanted[:1] if rank() == 0 else []
    for step in (1, 2):
        # In the second step it is all the other way around, in two updates.
        updates = [wanted] if step == 1 else [wanted[::-1][:1], wanted[::-1][1:]]
        staged.begin_step(step, updates, again)
        found = scored(staged, wanted)
        for name, tokens in again:
            assert torch.equal(staged.rescore(name, tokens), staged.hidden(name, tokens))
    held = {name: own_bytes(teacher.template) for name, teacher in pool._teachers.items()}
    told = {"held": held, "counts": pool.counts.take()}
    (folder / f"told-{rank()}.json").write_text(json.dumps(told))
    save_file({str(n): logits for n, logits in enumerate(found)}, folder / f"logits-{rank()}")


def own_bytes(module):
    """Return the bytes of a body's parameters that this rank holds now."""
    return sum(storage.nbytes() for storage, _ in module._storages)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_ranks():
        main(Path(sys.argv[1]))
