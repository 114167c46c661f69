"""A real vLLM server that serves another model, or dies and comes back."""

import json
import shutil
import threading
import time

import pytest

from tasks.model.files import load_policy
from tasks.rollout.sampling.vllm.client import VllmError
from tests.support.refused import raised
from tests.support.tiny_models import tiny_policy
from tests.support.vllm_turns import CONTEXTS, gaps, noise_for, sampler, sampling, text

pytestmark = [pytest.mark.slow, pytest.mark.engine]


def test_a_served_name_that_is_not_the_servers_is_refused(server, policy, weights):
    with raised(VllmError, "other-served-model", "'policy'", "'math'"):
        sampler(policy, sampling(server, weights, served_model="math"))


def test_a_policy_of_other_positions_is_refused_though_its_weights_load(
    server, start, weights, tmp_path
):
    other = tmp_path / "other"
    shutil.copytree(start, other)
    config = other / "config.json"
    given = json.loads(config.read_text())
    assert given["rope_parameters"]["rope_theta"] > 50.0
    given["rope_parameters"]["rope_theta"] = 2.0
    config.chmod(0o644)
    config.write_text(json.dumps(given))
    policy = load_policy(other)
    with raised(VllmError, "other-log-probabilities"):
        sampler(policy, sampling(server, weights)).sample(CONTEXTS, noise_for())


def test_a_server_that_was_killed_and_started_again_is_noticed(server, policy, weights):
    settings = sampling(server, weights, timeout_seconds=30.0)
    ours = sampler(policy, settings)
    first = ours.sample(CONTEXTS, noise_for())
    server.kill()
    begin = time.monotonic()
    with raised(VllmError, "not-ready"):
        ours.sample(CONTEXTS, noise_for())
    assert time.monotonic() - begin < 60
    server.start()
    with raised(VllmError, "other-weights"):
        ours.sample(CONTEXTS, noise_for())
    again = sampler(policy, settings).sample(CONTEXTS, noise_for())
    assert text(again) == text(first)
    assert float(gaps(policy, CONTEXTS, again).max()) < 2e-5


def test_a_server_that_dies_in_the_middle_of_a_batch_ends_it_in_an_error(server, policy, weights):
    ours = sampler(policy, sampling(server, weights, concurrency=1, timeout_seconds=600.0))
    ours.sample(CONTEXTS, noise_for())
    caught = []

    def batch():
        many = 200
        try:
            ours.sample(CONTEXTS[:1] * many, noise_for(many))
        except VllmError as error:
            caught.append(error.code)

    thread = threading.Thread(target=batch)
    thread.start()
    time.sleep(1)
    server.kill()
    server.start()  # its weights are those of its folder, and requests reach it again
    thread.join()
    [code] = caught
    assert code in ("no-answer", "other-weights")


def test_a_policy_of_other_shapes_is_refused_and_leaves_no_version_behind(
    server, policy, weights, tmp_path
):
    ours = sampler(policy, sampling(server, weights))
    ours.sample(CONTEXTS, noise_for())
    other = sampler(tiny_policy(), sampling(server, tmp_path / "other"))
    with raised(VllmError, "weights-not-loaded"):
        other.sample([[5, 6, 7]], noise_for(1))
    # The server may hold a half of either: the run before it must not go on with that.
    with raised(VllmError, "other-weights"):
        ours.sample(CONTEXTS, noise_for())
    server.kill()
    server.start()
