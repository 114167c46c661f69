"""Two ranks sample with two servers, and learn what one process learns with one."""

import itertools
import json
import re
from contextlib import ExitStack

import pytest
import torch

from tasks.model.files import load_model
from tasks.rollout.sampling.vllm.versions import LOCKED
from tests.onpolicy.test_parallel import base_model, run
from tests.support.vllm_stand_in import NAME, OF_NODE, StandIn, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def servers():
    """Return two servers and where they listen."""
    stand_ins = [StandIn(), StandIn()]
    with ExitStack() as stack:
        yield stand_ins, [stack.enter_context(serving(one)) for one in stand_ins]


def sampling(urls, folder, **more):
    """Return settings with these servers; further fields of theirs by name."""
    first, *others = urls
    server = {"url": first, "served_model": NAME, "weights_folder": str(folder / "weights")}
    more |= {"other_urls": others} if others else {}
    return {"engine": "vllm", "vllm": server | more | {"timeout_seconds": 60.0}}


def play(folder, num_ranks, urls, **told):
    """Return the rollouts and the student of a run."""
    folder.mkdir(exist_ok=True)
    base = base_model(folder / "base", tied=True)
    told["sampling"] = sampling(urls, folder, **told.pop("server", {}))
    run("ranks_play.py", num_ranks, folder, base, json.dumps(told))
    rollouts = json.loads((folder / "rollouts-0.json").read_text())
    return rollouts, load_model(folder / "student").state_dict()


@pytest.mark.parametrize(
    ("loop", "prompts"),
    [({}, 5), ({"adapter": {"rank": 2, "alpha": 4}}, 1)],  # one prompt: a rank without any
    ids=["all weights", "adapter, fewer prompts than ranks"],
)
def test_two_ranks_with_two_servers_learn_what_one_process_does(servers, tmp_path, loop, prompts):
    stand_ins, urls = servers
    ranks, ours = play(tmp_path / "ranks", 2, urls, loop=loop, prompts=prompts)
    for one in stand_ins:
        assert len(one.bodies("/collective_rpc")) == 3  # at every update
        sent = [body["new_version"] for body in one.bodies("/update_weight_version")]
        assert len(set(sent)) == 6
    assert bool(stand_ins[1].bodies("/v1/completions")) == (prompts > 1)
    alone, theirs = play(tmp_path / "alone", 0, urls[:1], loop=loop, prompts=prompts)
    for found, expected in zip(itertools.chain(*ranks), itertools.chain(*alone), strict=True):
        assert found.pop("sampler_log_probs") == pytest.approx(
            expected.pop("sampler_log_probs"), rel=1e-3, abs=1e-4
        )
        assert found == expected
    for name, weight in theirs.items():
        assert float((ours[name] - weight).norm()) <= 1e-3 * float(weight.norm()), name


def test_two_ranks_send_two_servers_the_adapter_alone(servers, tmp_path):
    stand_ins, urls = servers
    for one in stand_ins:
        one.lora_rank = 2
    loop = {"adapter": {"rank": 2, "alpha": 4}}
    ranks, ours = play(tmp_path / "ranks", 2, urls, loop=loop)
    held = []
    for one in stand_ins:
        assert len(one.bodies("/collective_rpc")) == 1  # the weights below the adapter, once
        used = {body["model"] for body in one.bodies("/v1/completions")}
        assert len(used) == 3  # an adapter of its own at every update
        assert NAME not in used
        held.append([*one.adapters])
    assert held[0] == held[1]
    alone, theirs = play(tmp_path / "alone", 0, urls[:1], loop=loop)
    for found, expected in zip(itertools.chain(*ranks), itertools.chain(*alone), strict=True):
        assert found["ids"] == expected["ids"]
    for name, weight in theirs.items():
        assert float((ours[name] - weight).norm()) <= 1e-3 * float(weight.norm()), name


@pytest.mark.parametrize("loop", [{}, {"adapter": {"rank": 2, "alpha": 4}}], ids=str)
def test_nodes_that_share_no_memory_write_a_copy_each(servers, tmp_path, loop):
    """As on two nodes with a ``/dev/shm`` each: a path is another folder for each rank."""
    stand_ins, urls = servers
    nodes = [tmp_path / "ranks" / f"node-{number}" for number in (0, 1)]
    for one, node in zip(stand_ins, nodes, strict=True):
        node.mkdir(parents=True)
        one.node, one.lora_rank = node, 2
    own = {"weights_folder": f"{OF_NODE}/weights"}
    ranks, ours = play(tmp_path / "ranks", 2, urls, loop=loop, nodes=True, server=own)
    held = [sorted(file.name for file in (node / "weights").rglob("*")) for node in nodes]
    assert held[0] == held[1]
    assert len(list((nodes[0] / "weights").iterdir())) == 1
    for one in stand_ins:
        one.node = None
    alone, theirs = play(tmp_path / "alone", 0, urls[:1], loop=loop)
    for found, expected in zip(itertools.chain(*ranks), itertools.chain(*alone), strict=True):
        assert found["ids"] == expected["ids"]
    for name, weight in theirs.items():
        assert float((ours[name] - weight).norm()) <= 1e-3 * float(weight.norm()), name


def test_a_server_that_takes_no_adapter_of_the_rank_ends_all_ranks(servers, tmp_path):
    stand_ins, urls = servers
    for one, largest in zip(stand_ins, (2, 1), strict=True):
        one.lora_rank = largest
    loop = {"adapter": {"rank": 2, "alpha": 4}}
    with pytest.raises(AssertionError, match="max_lora_rank 1") as caught:
        play(tmp_path / "ranks", 2, urls, loop=loop)
    assert "on rank 1: " in str(caught.value)
    assert not stand_ins[0].bodies("/collective_rpc")


def test_an_adapter_that_does_not_act_on_one_server_ends_all_ranks(servers, tmp_path):
    stand_ins, urls = servers
    for one in stand_ins:
        one.lora_rank = 2
    stand_ins[1].adapts = False
    loop, limit = {"adapter": {"rank": 2, "alpha": 4}}, {"max_log_prob_gap": 1e-4}
    with pytest.raises(AssertionError, match="nats per token away from the policy's"):
        play(tmp_path / "ranks", 2, urls, loop=loop, server=limit)
    # The first adapter changes nothing, and the second one does.
    assert len(stand_ins[1].bodies("/reset_prefix_cache")) == 2


def test_a_server_of_no_use_ends_all_ranks_with_a_message(servers, tmp_path):
    stand_ins, urls = servers
    stand_ins[1].spoil = lambda answer: answer["choices"].clear()
    with pytest.raises(AssertionError, match="0 turns") as caught:
        play(tmp_path / "ranks", 2, urls)
    assert "on rank 1: " in str(caught.value)


def test_servers_of_different_versions_end_all_ranks_before_they_train(servers, tmp_path):
    stand_ins, urls = servers
    stand_ins[1].vllm_version = "0.31.0"
    with pytest.raises(AssertionError, match=f"{re.escape(urls[1])} has 0.31.0") as caught:
        play(tmp_path / "ranks", 2, urls)
    assert f"{urls[0]} has {LOCKED}" in str(caught.value)
    assert {path for one in stand_ins for path, _ in one.asked} == {"/v1/models", "/version"}


def test_other_log_probabilities_on_one_server_end_all_ranks(servers, tmp_path):
    stand_ins, urls = servers
    stand_ins[1].loads = False
    with pytest.raises(AssertionError, match="nats per token away from the policy's"):
        play(tmp_path / "ranks", 2, urls)


def test_two_ranks_sample_ahead_as_one_process_does_and_resume_to_the_same_bits(servers, tmp_path):
    _, urls = servers
    loop = {"staleness": 1, "num_steps": 4}
    undisturbed, expected = play(tmp_path / "ranks", 2, urls, loop=loop)
    assert [{one["staleness"] for one in step} for step in undisturbed] == [{0}, {1}, {1}, {1}]

    folder = tmp_path / "killed"
    with pytest.raises(AssertionError, match="killed"):
        play(folder, 2, urls, loop=loop, die_at=3)
    told = {"sampling": sampling(urls, folder), "loop": loop}
    run("ranks_play.py", 2, folder, folder / "base", json.dumps(told))
    resumed = json.loads((folder / "rollouts-0.json").read_text())
    assert resumed == undisturbed[1:]  # the state is that of step 1, with the rollouts of step 2
    for name, weight in load_model(folder / "student").state_dict().items():
        assert torch.equal(weight, expected[name]), name

    alone, theirs = play(tmp_path / "alone", 0, urls[:1], loop=loop)
    for found, by_one in zip(itertools.chain(*undisturbed), itertools.chain(*alone), strict=True):
        assert found["ids"] == by_one["ids"]
        assert found["staleness"] == by_one["staleness"]
    for name, weight in theirs.items():
        assert float((expected[name] - weight).norm()) <= 1e-3 * float(weight.norm()), name
