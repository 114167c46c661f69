"""Variants of RL on two ranks: reference, value network and hints make what one process makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineage.artifacts import Artifact, Rung
from tests.support.rl_runs import RlPlace, rl_settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "support" / "climb_program.py"
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
GROUPS = {
    "loop": {"inner_updates": 2, "learning_rate": 1e-3},
    "ratio": {"base": "old", "negative_mask": 10.0},
    "kl": {"coefficient": 0.05, "reset_every": 1},
    "hint": {"rules": [{"pattern": ".", "hint": "only the fox"}]},
    "average": 0.5,
}
PPO = {
    "loop": {"inner_updates": 2, "learning_rate": 1e-3},
    "ratio": {"base": "old"},
    "kl": {"coefficient": 0.05, "estimator": "k1", "place": "reward"},
    "value": {"start": "policy", "learning_rate": 1e-3},
}


def climbed(folder, variant, *launcher):
    """Run a climb in processes of its own; return its place, start and last checkpoint."""
    place = RlPlace(folder)
    domain = place.domain()
    settings = rl_settings(2, **variant)
    for name, model in {"start": place.start, "domain": domain, "settings": settings}.items():
        (folder / f"{name}.json").write_text(model.model_dump_json())
    done = subprocess.run(
        [sys.executable, *launcher, str(PROGRAM), str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PROVOST_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ladder = [
        Rung.model_validate(rung) for rung in json.loads((folder / "ladder-0.json").read_text())
    ]
    return place, ladder[-1].checkpoint


@pytest.mark.parametrize("variant", [GROUPS, PPO], ids=["groups", "ppo"])
def test_two_ranks_make_the_policy_that_one_process_makes(tmp_path, variant):
    alone, expected = climbed(tmp_path / "alone", variant)
    both, found = climbed(tmp_path / "both", variant, *LAUNCHER)
    assert isinstance(found, Artifact)
    assert found.record == expected.record
    start, ours, theirs = (
        place.weights(each)
        for place, each in ((alone, alone.start), (both, found), (alone, expected))
    )
    for name, before in start.items():
        moved = float((theirs[name] - before).norm())
        assert moved > 0
        assert float((ours[name] - theirs[name]).norm()) <= 0.02 * moved, name
