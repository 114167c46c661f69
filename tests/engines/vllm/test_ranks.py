"""Two ranks that sample with a real vLLM server: each its share, by weights that both wrote."""

import itertools
import json

import pytest

from tasks.model.files import load_model
from tests.onpolicy.test_parallel import run

pytestmark = [pytest.mark.slow, pytest.mark.engine]


def play(folder, ranks, start, server, **told):
    """Return each rollout and the student of a run."""
    folder.mkdir()
    served = server.settings(folder / "weights").model_dump(mode="json")
    told["sampling"] = {"engine": "vllm", "vllm": served}
    run("ranks_play.py", ranks, folder, start, json.dumps(told))
    rollouts = itertools.chain(*json.loads((folder / "rollouts-0.json").read_text()))
    return [*rollouts], load_model(folder / "student").state_dict()


@pytest.mark.parametrize(
    "loop", [{}, {"adapter": {"rank": 2, "alpha": 4}}, {"staleness": 1}], ids=str
)
def test_two_ranks_learn_what_one_process_does(server, start, tmp_path, loop):
    ranks, ours = play(tmp_path / "ranks", 2, start, server, loop=loop)
    alone, theirs = play(tmp_path / "alone", 0, start, server, loop=loop)
    for found, expected in zip(ranks, alone, strict=True):
        assert found["ids"] == expected["ids"]
        assert found["sampler_log_probs"] == pytest.approx(
            expected["sampler_log_probs"], rel=1e-3, abs=1e-4
        )
    before = load_model(start).state_dict()
    for name, weight in theirs.items():
        moved = float((weight - before[name]).norm())
        assert float((ours[name] - weight).norm()) <= 0.02 * moved + 1e-6, name
    assert any(float((theirs[name] - before[name]).norm()) > 0 for name in before)
