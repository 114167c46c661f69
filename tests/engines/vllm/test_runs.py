"""Whole climbs and a whole round of MOPD with rollouts from a real vLLM server alone."""

import json
import threading
import time

import pytest
import torch

from lineage.artifacts import Release, read_manifest
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.model.files import load_policy
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.climb import climb as climb_ladder
from tasks.rl.settings import RlSettings
from tasks.rollout.sampling.vllm.client import VllmClient, VllmError
from tests.support.climbs import climbed_from
from tests.support.mopd_rounds import Run, faculty_at, planned, told
from tests.support.states import save_states_often
from tests.support.tiny_faculty import NUM_EVALUATION, RUNG_STEPS, TEAMS, home_at
from tests.support.vllm_turns import sampling

pytestmark = [pytest.mark.slow, pytest.mark.engine]


@pytest.mark.parametrize("team", TEAMS)
def test_a_whole_climb_is_sampled_by_the_server(home_with_served_teachers, team):
    with home_at(home_with_served_teachers):
        store = open_store()
        entry = Registry(store).resolve(f"{team}@released")
        release = read_manifest(store, entry.digest, Release)
        assert [rung.step for rung in release.ladder] == RUNG_STEPS
        assert len({release.precursor.digest, *(r.checkpoint.digest for r in release.ladder)}) == 3
        card = json.loads(store.get_bytes(release.scorecard.digest))
        assert card[team]["teacher"]["n"] == NUM_EVALUATION
        made = Records(store).read(release.checkpoint.record)
        assert made.settings["sampling"]["engine"] == "vllm"
        assert Verifier(store).verify(entry.record).problems == []


def test_a_whole_round_is_sampled_by_the_server(home_with_served_teachers, served, tmp_path):
    with faculty_at(home_with_served_teachers, tmp_path / "home") as runner:
        plan = planned(runner)
        run = Run(runner, plan, told(sampling=served))
        metrics = run.metrics()
        for team in TEAMS:
            # Exactly on policy: no token's ratio is out of its limits, and the first step's is 1.
            assert metrics[f"dropped/{team}"] == [0.0] * 3
        # What it trained on is what the server said, over all turns and updates.
        assert 0 < max(metrics["sampler_gap"]) < 2e-5
        start = Run.__new__(Run)
        start.store, start.student = runner.store, plan.student
        found = run.ledger().check(start.weights(), run.weights())
        assert found.unexplained < 1e-9
        assert all(kept.sampler_log_probs for kept in run.ledger().rollouts())
        assert run.student.digest != plan.student.digest


def kill_after(server, settings, updates):
    """Return a thread that kills the server when it has been sent so many versions of weights."""

    def watch():
        client, seen = VllmClient(settings.vllm), set()
        while len(seen) < updates:
            seen.add(client.get("/weight_info").get("weight_version"))
            time.sleep(0.01)
        server.kill()

    return threading.Thread(target=watch)


def test_a_climb_goes_on_with_the_next_server_after_one_was_killed(
    home_with_served_teachers, server, tmp_path, monkeypatch
):
    save_states_often(monkeypatch.setattr)
    served = sampling(server, tmp_path / "weights", max_new_tokens=4, timeout_seconds=20.0)
    settings = RlSettings(
        loop=LoopSettings(num_steps=6, learning_rate=3e-3, warmup_steps=0, rung_every=3),
        sampling=served,
        prompts_per_step=3,
        rollouts_per_prompt=4,
    )
    ladders = []
    for name in ("killed", "whole"):
        with faculty_at(home_with_served_teachers, tmp_path / name) as runner:
            start, domain = climbed_from(runner.store, "shout")
            if name == "killed":
                killer = kill_after(server, served, updates=4)
                killer.start()
                with pytest.raises(VllmError):
                    climb_ladder(runner, start, domain, settings, seed=7)
                killer.join()
                server.start()
            rungs = climb_ladder(runner, start, domain, settings, seed=7)
            ladders.append([load_policy(runner.store.tree(r.checkpoint.digest)) for r in rungs])
    assert len(ladders[0]) == len(ladders[1]) == 2
    for ours, theirs in zip(*ladders, strict=True):
        for one, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)
