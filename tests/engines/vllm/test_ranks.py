"""Two ranks that sample with a real vLLM server: each its share, by weights that both wrote."""

import itertools
import json

import pytest

from tasks.model.files import load_model
from tests.onpolicy.test_parallel import run

pytestmark = [pytest.mark.slow, pytest.mark.engine]
GAP = 1e-4
"""Nats per token by which servers may be away from the policy after an update; in fp32 they are
within 1e-5."""


def play(folder, ranks, start, servers, **told):
    """Return each rollout and the student of a run."""
    folder.mkdir()
    first, *others = servers
    more = {"other_urls": [other.url for other in others]}
    served = first.settings(folder / "weights", max_log_prob_gap=GAP, **more)
    told["sampling"] = {"engine": "vllm", "vllm": served.model_dump(mode="json")}
    run("ranks_play.py", ranks, folder, start, json.dumps(told))
    rollouts = itertools.chain(*json.loads((folder / "rollouts-0.json").read_text()))
    return [*rollouts], load_model(folder / "student").state_dict()


def assert_same(found, expected, start):
    """Compare two runs: their rollouts, and how far the weights moved."""
    (ranks, ours), (alone, theirs) = found, expected
    for one, other in zip(ranks, alone, strict=True):
        assert one["ids"] == other["ids"]
        assert one["sampler_log_probs"] == pytest.approx(
            other["sampler_log_probs"], rel=1e-3, abs=1e-4
        )
    before = load_model(start).state_dict()
    for name, weight in theirs.items():
        moved = float((weight - before[name]).norm())
        assert float((ours[name] - weight).norm()) <= 0.02 * moved + 1e-6, name
    assert any(float((theirs[name] - before[name]).norm()) > 0 for name in before)


@pytest.mark.parametrize(
    "loop", [{}, {"adapter": {"rank": 2, "alpha": 4}}, {"staleness": 1}], ids=str
)
def test_two_ranks_learn_what_one_process_does(server, start, tmp_path, loop):
    ranks = play(tmp_path / "ranks", 2, start, [server], loop=loop)
    alone = play(tmp_path / "alone", 0, start, [server], loop=loop)
    assert_same(ranks, alone, start)
