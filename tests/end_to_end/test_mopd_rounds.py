"""Real rounds on a tiny faculty, from a plan to a student and its ledger in the store."""

import io

import pytest
import torch

from lineage.artifacts import Release, read_manifest
from tasks.model.files import load_policy
from tasks.model.log_probs import chosen_logits, pad_right
from tasks.mopd.round import starting_from
from tasks.mopd.round_models import INITIAL_STUDENT, round_models
from tasks.mopd.teachers import open_round_teachers, split_lora, teacher_source
from tasks.platform.progress import Reporter
from tasks.rollout.settings import SamplingSettings
from tests.support.mopd_rounds import Run, faculty_at, planned, told
from tests.support.refused import refused
from tests.support.vllm_stand_in import NAME, StandIn, serving


@pytest.fixture(scope="module")
def runner(home_with_teachers, tmp_path_factory):
    with faculty_at(home_with_teachers, tmp_path_factory.mktemp("rounds") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def plan(runner):
    return planned(runner)


@pytest.fixture(scope="module")
def plain(runner, plan):
    return Run(runner, plan, told())


def moved(run, other):
    """Return how far two students are apart, in norm."""
    ours, theirs = run.weights(), other.weights()
    return sum(float((ours[name] - theirs[name]).square().sum()) for name in ours) ** 0.5


def test_a_round_says_before_it_runs_what_it_takes(runner, plan, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("tasks.platform.progress._reporter", Reporter(None, stream))
    run = Run(runner, plan, told(), seed=1)
    said = "1 backward pass(es) over each microbatch"
    lines = stream.getvalue().splitlines()
    [place] = [number for number, line in enumerate(lines) if said in line]
    assert not any("reward" in line for line in lines[:place])
    assert said in run.notes()["estimate"]


def test_a_round_that_fits_no_memory_is_refused_before_it_samples(runner, plan):
    with refused("memory-too-small", ": rollouts ", "what is free on this machine"):
        Run(runner, plan, told(prompts_per_domain=10**9))


def test_the_ledger_of_a_round_adds_up_to_its_student(runner, plan, plain):
    start = Run.__new__(Run)
    start.store, start.student = runner.store, plan.student
    found = plain.ledger().check(start.weights(), plain.weights())
    assert found.rounding < 1e-4
    assert found.unexplained < 1e-9
    assert plain.ledger().parts == ["shout", "whisper", "decay", "rounding"]


def test_a_delta_teacher_teaches_through_its_precursor(runner, plan, plain):
    [shout, _] = plan.teachers
    run = Run(runner, plan, told({"delta_teachers": ("shout",)}))
    release = read_manifest(runner.store, shout.release.digest, Release)
    assert run.inputs("precursor") == {"shout": release.precursor.digest}
    assert min(run.metrics()["mechanism/delta/evaluated"]) >= 1
    assert min(run.metrics()["mechanism/delta/bound"]) > 0
    assert moved(run, plain) > 1e-4
    # The other teacher is asked as before: in the first step it says the same of the same rollouts.
    assert run.metrics()["kl/whisper"][0] == plain.metrics()["kl/whisper"][0]
    assert run.metrics()["kl/shout"][0] != plain.metrics()["kl/shout"][0]


def test_a_reference_holds_the_student_back_and_is_in_the_ledger(runner, plan, plain):
    run = Run(runner, plan, told({"reference_weight": 50.0}))
    assert run.ledger().parts == ["shout", "whisper", "reference", "decay", "rounding"]
    assert "2 backward pass(es)" in run.notes()["estimate"]
    drift = run.metrics()["reference_kl/shout"]
    # The first step is at the start itself; the second is not.
    assert abs(drift[0]) < 1e-6 < drift[1]
    assert moved(run, plain) > 1e-4
    start = Run.__new__(Run)
    start.store, start.student = runner.store, plan.student
    assert run.ledger().check(start.weights(), run.weights()).rounding < 1e-4


@pytest.mark.slow
def test_a_ladder_is_distilled_rung_by_rung(runner, plan, plain):
    run = Run(runner, plan, told(loop={"num_steps": 4}, ladder_stages=2))
    direct = Run(runner, plan, told(loop={"num_steps": 4}))
    assert run.inputs("rung") == {t.name: t.ladder[0].checkpoint.digest for t in plan.teachers}
    # Two rungs, two stages: steps 1 and 2 against the first rung, the rest against the teacher.
    first_rungs = [
        t.model_copy(update={"checkpoint": t.ladder[0].checkpoint}) for t in plan.teachers
    ]
    early = Run(
        runner, plan.model_copy(update={"teachers": first_rungs}), told(loop={"num_steps": 4})
    )
    for name in ("kl/shout", "kl/whisper"):
        assert run.metrics()[name][:2] == early.metrics()[name][:2]
        assert run.metrics()[name][0] != direct.metrics()[name][0]
        assert run.metrics()[name][2] != early.metrics()[name][2]


def test_more_stages_than_rungs_are_refused(runner, plan):
    with refused("too-few-rungs", "'shout'", "2 rungs", "3 ladder stages"):
        Run(runner, plan, told(loop={"num_steps": 4}, ladder_stages=3))


def test_the_student_may_teach_a_domain_itself(runner):
    plan = planned(runner, "shout@released=self", "whisper@released")
    run = Run(runner, plan, told())
    assert run.inputs("teacher")["shout"] == plan.student.digest
    kl = run.metrics()["kl/shout"]
    assert abs(kl[0]) < 1e-6 < kl[1]  # it starts as its own teacher, and the other moves it


def test_weighted_teachers_of_one_domain_split_its_loss(runner, plan):
    [shout, whisper] = plan.teachers
    older = shout.model_copy(
        update={"name": "shout@0", "share": 0.25, "checkpoint": shout.ladder[0].checkpoint}
    )
    newer = shout.model_copy(update={"name": "shout@1", "share": 0.75})
    mixed = plan.model_copy(update={"teachers": [older, newer, whisper]})
    run = Run(runner, mixed, told())
    weights = {i.name: i.weight for i in run.derivation.inputs if i.role == "teacher"}
    assert weights == {"shout@0": 0.125, "shout@1": 0.375, "whisper": 0.5}
    kept = [entry for entry in run.ledger().rollouts() if entry.domain == "shout"]
    by_teacher = {
        name: {(e.step, e.ids): e.weight for e in kept if e.teacher == name}
        for name in ("shout@0", "shout@1")
    }
    # Each scores each of the domain's rollouts, and weighs a quarter and three.
    assert by_teacher["shout@0"].keys() == by_teacher["shout@1"].keys()
    assert len(by_teacher["shout@0"]) == 6
    for rollout, weight in by_teacher["shout@0"].items():
        assert by_teacher["shout@1"][rollout] == pytest.approx(3 * weight)


def test_a_second_round_starts_from_the_first_ones_student(runner, plan, plain):
    second = Run(runner, starting_from(plan, plain.student), told(), seed=1)
    assert second.inputs("student") == {"": plain.student.digest}
    assert plain.ledger().manifest.end == second.ledger().manifest.start


def test_masked_teachers_play_and_teach_nothing(runner, plan, plain):
    run = Run(runner, plan, told({"masked": ("shout",)}))
    played, expected = run.metrics(), plain.metrics()
    # The same prompts with the same samples, though what is learned from them differs.
    for name in ("response_tokens/shout", "reward/shout", "response_tokens/whisper"):
        assert played[name][0] == expected[name][0]
    assert "kl/shout" not in played
    assert not any(row.source == "shout" and row.gradient_norm for row in run.ledger().rows())
    for segment in run.ledger().manifest.segments:
        assert segment.norms["shout"] == 0.0 < segment.norms["whisper"]
    # What the other's loss weighs is as it was.
    assert played["loss/whisper"][0] == pytest.approx(expected["loss/whisper"][0], rel=1e-6)


@pytest.mark.medium
def test_inner_updates_ask_each_teacher_once_ahead(runner, plan):
    run = Run(runner, plan, told(loop={"inner_updates": 2}))
    assert min(run.metrics()["mechanism/refresh/bound"]) > 0
    again = Run(runner, plan, told(loop={"inner_updates": 2}, placement="resident"))
    # Where teachers are kept changes no bit, scored ahead or not.
    for name, weight in run.weights().items():
        assert torch.equal(weight, again.weights()[name]), name


@pytest.mark.medium
def test_teachers_that_were_trained_by_adapters_share_their_base(runner, plan, plain):
    adapter = {"adapter": {"rank": 2, "alpha": 4}}
    made = [Run(runner, plan, told(loop=adapter), seed=seed) for seed in (0, 1)]
    teachers = [
        teacher.model_copy(update={"checkpoint": run.student})
        for teacher, run in zip(plan.teachers, made, strict=True)
    ]
    adapted = plan.model_copy(update={"teachers": teachers})
    settings = told({"reference_weight": 0.1})
    policy = load_policy(runner.store.tree(plan.student.digest))
    opened = open_round_teachers(
        round_models(runner.store, adapted, settings), settings, policy, runner.store
    )
    tokens = pad_right([[5, 6, 7, 8]], [[False, True, True, True]], 0)
    for name, run in (("shout", made[0]), ("whisper", made[1])):
        said = opened.logits(name, opened.hidden(name, tokens))
        merged = load_policy(runner.store.tree(run.student.digest)).model
        expected = chosen_logits(merged, tokens)
        assert said == pytest.approx(expected.detach(), abs=1e-5)
        assert not torch.allclose(said, chosen_logits(policy.model, tokens), atol=1e-4)
    # The reference asks the base as it is; all three are one set of weights.
    opened.hidden(INITIAL_STUDENT, tokens)
    assert opened.pool.counts.loads == 1
    # A teacher of other beginnings stands for itself.
    assert (
        split_lora(
            runner.store, teacher_source(runner.store, "a", plain.student), plain.student
        ).base
        is None
    )


def test_a_round_is_sampled_by_a_server_that_gets_each_updates_weights(runner, plan, tmp_path):
    policy = load_policy(runner.store.tree(plan.student.digest))
    stand_in = StandIn(policy.model, longest=128)
    with serving(stand_in) as url:
        server = {"url": url, "served_model": NAME, "weights_folder": str(tmp_path / "weights")}
        sampling = {"engine": "vllm", "vllm": server, "max_new_tokens": 4}
        run = Run(runner, plan, told(sampling=SamplingSettings.model_validate(sampling)))
    # Three steps: what it started as, and after each of the first two updates.
    assert len(stand_in.bodies("/collective_rpc")) == 3
    # Its log-probabilities are the behavior policy's: exactly on policy, no token is dropped.
    assert run.metrics()["dropped/shout"] == [0.0] * 3
    for kept in run.ledger().rollouts():
        assert kept.sampler_log_probs
    assert run.student.digest != plan.student.digest
