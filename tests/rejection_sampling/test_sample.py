"""Sampling as a step: what it keeps, what it records, how it resumes, and what it refuses."""

import os
import signal
from multiprocessing import get_context

import pytest

from lineage.store.store import FolderStore, open_store
from tasks.platform.attempt import InterruptedAttemptError, watched_attempt
from tasks.platform.measurements import measured_here
from tasks.rejection_sampling import parts
from tasks.rejection_sampling.sample import sample_responses
from tasks.rejection_sampling.settings import ResponseSettings
from tasks.rollout.domains import stored_responses
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import refused
from tests.support.sampled import Bench

SETTINGS = ResponseSettings(samples_per_prompt=3, sampling=SamplingSettings(max_new_tokens=4))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_all_responses_of_all_checkpoints_are_kept_with_their_grades(bench):
    checkpoints = [bench.checkpoint("late", 1), bench.checkpoint("best", 2)]
    domain = bench.domain("1+1", "2+2")
    made = sample_responses(bench.runner, checkpoints, [domain], SETTINGS, seed=0)
    rows = stored_responses(bench.runner.store, made)
    assert [(row.sampler, row.prompt.id) for row in rows] == [
        (name, prompt) for name in ("late", "best") for prompt in ("p0", "p1") for _ in range(3)
    ]
    for row in rows:
        assert row.scores == {"grade": 1.0 if len(row.turns[-1].content) % 2 == 0 else 0.0}
        assert 1 <= row.num_tokens <= 4
    assert len({row.turns for row in rows}) > 6, "samples are not copies of each other"
    assert bench.notes(made)["tokens_sampled"] == sum(row.num_tokens for row in rows)
    assert bench.notes(made)["confinement"].keys() == {"math"}
    assert bench.inputs(made) == {
        ("sampler", "late"): checkpoints[0].artifact.digest,
        ("sampler", "best"): checkpoints[1].artifact.digest,
        ("prompts", "math"): domain.prompts.digest,
        ("environment", "math"): domain.environment.digest,
    }


def said(bench, checkpoints, domains, settings=SETTINGS, seed=0):
    made = sample_responses(bench.runner, checkpoints, domains, settings, seed)
    return {
        (row.sampler, row.domain, row.prompt.id, place % settings.samples_per_prompt): row.turns
        for place, row in enumerate(stored_responses(bench.runner.store, made))
    }


@pytest.mark.medium
def test_a_response_depends_on_its_own_checkpoint_prompt_and_number_alone(bench):
    one, two = bench.checkpoint("one", 1), bench.checkpoint("two", 2)
    math, code = bench.domain("1+1", "2+2"), bench.domain("fox", name="code")
    alone = said(bench, [one], [math])
    more = said(bench, [two, one], [code, math])
    assert {key: more[key] for key in alone} == alone
    fewer = SETTINGS.model_copy(update={"samples_per_prompt": 2, "num_prompts": 1})
    assert said(bench, [one], [math], fewer) == {
        key: turns for key, turns in alone.items() if key[2] == "p0" and key[3] < 2
    }
    again = one.model_copy(update={"name": "again"})
    twins = said(bench, [one, again], [math])
    assert any(turns != twins["again", *key[1:]] for key, turns in alone.items())
    assert said(bench, [one], [math], seed=1) != alone


def test_a_mode_that_the_template_ignores_is_refused(bench):
    off = SETTINGS.model_copy(update={"mode": "off"})
    with refused("idle-mode"):
        sample_responses(bench.runner, [bench.checkpoint()], [bench.domain("1+1")], off, 0)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_RESPONSES", 3)


@pytest.mark.parametrize(
    ("num_responses", "size"), [(1, 256), (64 * 256, 256), (64 * 256 + 1, 257), (640_000, 10_000)]
)
def test_a_part_is_a_batch_until_there_would_be_too_many(num_responses, size):
    assert parts.part_size(num_responses) == size


def elsewhere(tmp_path):
    """Return a bench with a store of its own."""
    return Bench(tmp_path / "other", FolderStore(tmp_path / "store"))


def four_parts(bench):
    """Return what samples four parts: two checkpoints, two prompts."""
    checkpoints = [bench.checkpoint("one", 1), bench.checkpoint("two", 2)]
    return bench.runner, checkpoints, [bench.domain("1+1", "2+2")], SETTINGS, 0


@pytest.mark.medium
def test_a_stopped_run_goes_on_after_the_part_that_it_made(bench, small_parts, tmp_path):
    expected = sample_responses(*four_parts(elsewhere(tmp_path)))
    seen = []

    def run(stop_at=None):
        seen.clear()

        def listen(samples):
            seen.append(samples[0].step)
            if samples[0].step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

        with measured_here(listen), watched_attempt("sample", None):
            return sample_responses(*four_parts(bench))

    with pytest.raises(InterruptedAttemptError):
        run(stop_at=3)
    assert seen == [1, 2, 3]
    made = run()
    assert seen == [1, 4]  # the first is told again with all that the state holds
    assert (made.digest, made.record) == (expected.digest, expected.record)
    assert {step for step, _ in bench.metrics(made)} == {1, 2, 3, 4}


@pytest.mark.slow
def test_a_killed_process_loses_at_most_one_part(bench, small_parts, tmp_path):
    expected = sample_responses(*four_parts(elsewhere(tmp_path)))
    given = four_parts(bench)

    def run(die_at):
        def listen(samples):
            if samples[-1].step == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

        with measured_here(listen):
            sample_responses(*given)

    for kept, die_at in enumerate((2, 3, 4), 1):
        child = get_context("fork").Process(target=run, args=(die_at,))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert len(open_store().keys("projects/local/states")) == kept
    assert sample_responses(*given).digest == expected.digest


# --- refusals ------------------------------------------------------------------------------------


def test_a_reward_model_cannot_be_sampled_from(bench):
    other = bench.checkpoint(kind="reward_model")
    with refused("other-kind", "checkpoint", "reward_model"):
        sample_responses(bench.runner, [other], [bench.domain("1+1")], SETTINGS, 0)


def test_fewer_than_one_sample_is_refused(bench):
    none = SETTINGS.model_copy(update={"samples_per_prompt": 0})
    with refused("no-samples", "samples_per_prompt"):
        sample_responses(bench.runner, [bench.checkpoint()], [bench.domain("1+1")], none, 0)


def test_a_domain_without_environment_is_refused(bench):
    bare = bench.domain("1+1").model_copy(update={"environment": None})
    with refused("missing-environment", "math"):
        sample_responses(bench.runner, [bench.checkpoint()], [bare], SETTINGS, 0)


def test_a_prompt_too_long_for_the_second_checkpoint_is_refused_before_the_first_samples(bench):
    long = bench.domain("1+1", "12345678 " * 11)
    with refused("prompt-too-long", "p1", "96"), measured_here() as measured:
        sample_responses(bench.runner, [bench.checkpoint()], [long], SETTINGS, 0)
    assert [each.rows for each in measured] == [[]]


def test_empty_and_repeated_inputs_are_refused(bench):
    one, domain = bench.checkpoint(), bench.domain("1+1")
    for code, checkpoints, domains in (
        ("no-sampler", [], [domain]),
        ("no-prompts", [one], []),
        ("repeated-name", [one, one], [domain]),
        ("repeated-name", [one], [domain, domain]),
        ("other-kind", [one], [domain.model_copy(update={"prompts": one.artifact})]),
        ("other-kind", [one], [domain.model_copy(update={"environment": one.artifact})]),
    ):
        with refused(code):
            sample_responses(bench.runner, checkpoints, domains, SETTINGS, 0)
