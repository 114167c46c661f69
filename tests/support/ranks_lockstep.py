"""What each rank runs in ``test_lockstep``: probes through a sharded model, and its units' state.

``python ranks_lockstep.py FOLDER BASE ADAPTER`` runs under torchrun. The first rank has two probes,
the second one, and more ranks none. Each writes its logits, those of the model gathered whole, and
the largest numbers of weights that it held whole at once: to compute, and in fp32 before it cut
them.
"""

import json
import sys
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from tasks.model.architecture import blocks
from tasks.model.files import load_model
from tasks.model.log_probs import chosen_logits
from tasks.model.settings import AdapterSettings, Precision
from tasks.onpolicy.distributed import sharding
from tasks.onpolicy.distributed.lockstep import ProbedRollout, probed_logits
from tasks.onpolicy.distributed.sharding import replica
from tasks.onpolicy.learner import prepare
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.ranks import joined_ranks, rank
from tasks.rollout.batch import rollout_batch
from tests.support.ranks_program import rollouts

TEMPERATURE = 0.8
_PROBES = {0: [(0, 7), (2, 5)], 1: [(4, 3)]}
"""Rollout and number of tokens of each probe, by rank."""


def watched(model):
    """Return a list that gets the number of weights that are whole whenever a layer begins."""
    counts = []

    def count(*_):
        whole = [p.numel() for p in model.parameters() if not isinstance(p, DTensor)]
        counts.append(sum(whole))

    for layer in blocks(model):
        layer.register_forward_pre_hook(count)
    return counts


def main(folder, base, adapter):
    model = load_model(base)
    lora = AdapterSettings(rank=2, alpha=4) if adapter else None
    settings = LoopSettings(num_steps=1, learning_rate=1e-3, adapter=lora, precision=Precision.FP32)
    cast, cut = [], sharding.fully_shard

    def spied(module, **how):
        whole = [p for p in model.parameters() if not isinstance(p, DTensor) and p.dim() > 1]
        cast.append(sum(p.numel() for p in whole if p.dtype is torch.float32))
        return cut(module, **how)

    with mock.patch.object(sharding, "fully_shard", spied):
        prepare(model, settings)
    counts = watched(model)
    played = rollouts()
    probes = [ProbedRollout(played[place], tokens) for place, tokens in _PROBES.get(rank(), [])]
    found = probed_logits(model, probes, TEMPERATURE, pad_id=0)
    most = max(counts)
    with replica(model), torch.no_grad():
        counts.clear()
        expected = [
            chosen_logits(model, rollout_batch([probe.rollout], 0), TEMPERATURE)[: probe.num_tokens]
            for probe in probes
        ]
    left = sum(p.numel() for p in model.parameters() if not isinstance(p, DTensor))
    told = {"most": most, "gathered": max(counts, default=0), "left": left, "cast": max(cast)}
    (folder / f"told-{rank()}.json").write_text(json.dumps(told))
    both = {"found": found, "expected": expected}
    named = {f"{kind}/{place}": t for kind, ts in both.items() for place, t in enumerate(ts)}
    save_file(named, folder / f"logits-{rank()}")


if __name__ == "__main__":
    with joined_ranks():
        main(Path(sys.argv[1]), Path(sys.argv[2]), bool(int(sys.argv[3])))
