"""What each rank runs in ``test_sharded_rounds``: MOPD's updates on fixed rollouts.

``python ranks_distil.py FOLDER SETTINGS`` distils alone, under torchrun with as many ranks, which
then hold each teacher together. FOLDER has a base and a folder of each teacher, named by domain;
SETTINGS are those of the loop, as JSON. The first rank writes the weights and the metrics.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tasks.model.files import load_model
from tasks.model.shards import whole
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import (
    DistilSettings,
    TeacherPlacement,
)
from tasks.mopd.teacher_pool.checkpoint import TeacherSource, digest_folder
from tasks.mopd.teacher_pool.sharded_pool import LockstepCache
from tasks.mopd.teachers import StagedTeachers, _opened
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.settings import Correction, ImportanceMask, LoopSettings
from tasks.platform.ranks import joined_ranks, num_ranks, rank
from tests.support.pool_teachers import ON_DISK, replaced
from tests.support.ranks_program import rollouts

DOMAINS = ("math", "code")
STEPS = 4


def main(folder, told):
    model = load_model(folder / "base")
    settings = LoopSettings(num_steps=STEPS, warmup_steps=0, **told)
    sources = [
        TeacherSource(domain, digest_folder(folder / domain), folder / domain) for domain in DOMAINS
    ]
    cache = _opened(sources, replaced(ON_DISK, placement=TeacherPlacement.SHARDED))
    assert isinstance(cache, LockstepCache) is (num_ranks() > 1)
    objective = Distillation(
        Routing(Route(domain, domain) for domain in DOMAINS),
        StagedTeachers(cache, [{domain: domain for domain in DOMAINS}], STEPS),
        # Rollouts that nothing sampled have no ratio to correct by.
        DistilSettings(importance=ImportanceMask(correction=Correction.NONE)),
        settings,
        control_ids=[0, 1, 2],
        recheck_every=2,
    )
    learner = Learner(model, settings, 1.0, pad_id=0, sources=objective.sources, record=True)
    metrics = [
        learner.update(objective, objective.score(rollouts()), step) for step in range(1, STEPS + 1)
    ]
    weights = {name: whole(tensor) for name, tensor in learner.optimizer.masters().items()}
    if rank() == 0:
        save_file({name: t.float().contiguous() for name, t in weights.items()}, folder / "w")
        (folder / "metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_ranks():
        main(Path(sys.argv[1]), json.loads(sys.argv[2]))
