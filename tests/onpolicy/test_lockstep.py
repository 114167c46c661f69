"""Ranks read probes together through the shards: no rank holds the whole student for the ledger."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tasks.model.architecture import blocks, body_of
from tasks.model.files import Policy, save_policy
from tasks.model.log_probs import chosen_logits
from tasks.onpolicy.distributed.lockstep import ProbedRollout, probed_logits
from tasks.rollout.batch import rollout_batch
from tests.onpolicy.test_parallel import run
from tests.support.ranks_program import rollouts
from tests.support.tiny_models import tiny_model, tokenizer

NUM_LAYERS = 24


def deep_model(*, tied):
    model = tiny_model(num_layers=NUM_LAYERS)
    if not tied:
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 0.9)
    return model


def test_one_process_reads_its_probes_one_by_one():
    model, played = tiny_model(), rollouts()
    found = probed_logits(
        model, [ProbedRollout(played[0], 3), ProbedRollout(played[2], 12)], 0.8, pad_id=0
    )
    assert [len(logits) for logits in found] == [3, 12]
    for logits, rollout in zip(found, (played[0], played[2]), strict=True):
        expected = chosen_logits(model, rollout_batch([rollout], 0), 0.8)[: len(logits)]
        torch.testing.assert_close(logits, expected)
        assert not logits.requires_grad


def test_without_probes_nothing_is_read():
    assert probed_logits(tiny_model(), [], 1.0, pad_id=0) == []


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "tied", "adapter"), [(2, True, 0), (2, False, 1), (3, False, 0)])
def test_no_rank_holds_the_whole_student(tmp_path, ranks, tied, adapter):
    model = deep_model(tied=tied).bfloat16()
    base = save_policy(Policy(model, tokenizer()), tmp_path / "base")
    run("ranks_lockstep.py", ranks, tmp_path, base, adapter)
    layer = sum(p.numel() for p in next(iter(blocks(model))).parameters())
    body = sum(p.numel() for p in body_of(model).parameters())
    outside = body - NUM_LAYERS * layer
    for rank, count in enumerate((2, 1, 0)[:ranks]):
        told = json.loads((tmp_path / f"told-{rank}.json").read_text())
        # The embedding and one layer, and room for the layer's adapters.
        assert told["most"] <= outside + 1.5 * layer
        assert told["left"] == 0
        # The model is loaded in bf16; in fp32 are one layer with its adapters, or the embedding.
        # Adapters are in fp32 from the start.
        adapters = adapter * 0.5 * NUM_LAYERS * layer
        assert told["cast"] <= adapters + max(1.5 * layer, outside)
        if count:
            assert told["gathered"] >= body
        logits = load_file(tmp_path / f"logits-{rank}")
        assert len(logits) == 2 * count
        for place in range(count):
            found, expected = logits[f"found/{place}"], logits[f"expected/{place}"]
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
