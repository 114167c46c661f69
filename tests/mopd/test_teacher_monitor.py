"""What is watched of teachers and mechanisms while a round runs, through the objective itself."""

import math

import pytest
import torch

from tasks.mopd.objective import Distillation
from tasks.mopd.settings import BalanceSettings, DistilSettings, Divergence, TopK
from tasks.mopd.teacher_monitor import TeacherMonitor
from tasks.onpolicy.feature_checks import FeatureCheckError
from tasks.onpolicy.run_monitor import RunMonitor, TrainingAbortedError
from tasks.onpolicy.settings import HealthSettings, LoopSettings
from tests.mopd.test_objective import LN2, TEACHERS, Constant, losses, objective, of_domain
from tests.support.refused import raised

ROUND = [of_domain("math"), of_domain("code")]


class Moody(Constant):
    """Teachers of whom one finds word 1 twice as likely when it is asked again."""

    def logits(self, teacher, hidden_CD):
        return super().logits(teacher, hidden_CD) + hidden_CD

    def rescore(self, teacher, tokens):
        rescore = torch.tensor([0.0, LN2 if teacher == "m" else 0.0, 0.0, 0.0])
        return rescore.expand(len(tokens.rows_N), -1)


def health():
    return RunMonitor(HealthSettings(), vocabulary_size=4, warn=lambda _: None)


def test_an_unsteady_scorer_stops_the_run_by_name_and_step():
    told = objective(teachers=Moody(**TEACHERS))
    told._monitor = TeacherMonitor(told._teachers, ["m", "c"], recheck_every=2)
    losses(told, ROUND)  # step 2 is none of those
    assert not any(name.startswith("unsteady") for name in told.end_step(2))
    told._monitor = TeacherMonitor(told._teachers, ["m", "c"], recheck_every=1)
    losses(told, ROUND)
    found = told.end_step(2)
    assert found["unsteady/c"] == 0.0
    # Of 1/8, 1/2, 1/4, 1/8 the second answer is 1/12, 2/3, 1/6, 1/12.
    assert found["unsteady/m"] == pytest.approx(math.log(3 / 2))
    with raised(TrainingAbortedError, "unsteady-scorer", "step 2", "'m'"):
        health().check(2, [], found)


def test_the_overlap_is_the_share_of_the_teachers_likeliest_words():
    monitor = TeacherMonitor(Constant(**TEACHERS), ["m"], recheck_every=50)
    monitor.begin_step(2)
    # Of 32 words the student likes the first 16 best and the teacher the last 20.
    student = torch.arange(32.0).flip(0)[None]
    teacher = torch.arange(32.0)[None]
    teacher[0, :4] += 100.0  # and words 0 to 3 above all
    monitor.overlap("m", student, teacher)
    monitor.overlap("m", student, student)  # a later chunk: the first tokens are enough
    assert monitor.end_step() == {"top_16_overlap/m": 4 / 16}


def test_what_will_be_scored_again_is_announced_when_a_step_begins():
    class Listening(Constant):
        def begin_step(self, step, updates, again=()):
            super().begin_step(step, updates)
            self.announced, self.rescored = [*again], []

        def rescore(self, teacher, tokens):
            self.rescored.append((teacher, tokens))
            return super().rescore(teacher, tokens)

    teachers = Listening(**TEACHERS)
    told = objective(teachers=teachers)
    told._monitor = TeacherMonitor(teachers, ["m", "c"], recheck_every=1)
    for passes in (2, 4):  # then the tokens of the first step as well
        losses(told, ROUND)
        assert len(teachers.announced) == passes
        assert {(t, id(tokens)) for t, tokens in teachers.announced} == {
            (t, id(tokens)) for t, tokens in teachers.rescored
        }


def test_a_step_reports_overlap_share_and_dispersion_of_each_teacher():
    told = objective()
    losses(told, [of_domain("math", 1), of_domain("math", 2), of_domain("code", 1)])
    found = told.end_step(1)
    assert found["top_16_overlap/m"] == found["top_16_overlap/c"] == 1.0  # of four words all
    assert found["token_share/m"] == pytest.approx(2 / 3)
    # Log-ratios log 2 and 0: half their distance.
    assert found["advantage_deviation/m"] == pytest.approx(LN2 / 2)


@pytest.mark.parametrize("divergence", list(Divergence))
def test_a_teacher_that_turns_uniform_stops_the_run(divergence):
    told = objective(divergence, teachers=Constant(**{**TEACHERS, "m": [1 / 4] * 4}))
    found = losses(told, ROUND)
    metrics = {f"from_uniform/{t}": float(f[0].report["from_uniform"]) for t, f in found.items()}
    with raised(TrainingAbortedError, "uniform-teacher", "step 9", "'m'"):
        health().check(9, [], metrics)
    del metrics["from_uniform/m"]
    health().check(9, [], metrics)


@pytest.mark.parametrize(
    ("settings", "code", "name"),
    [
        ({"divergence": Divergence.TOP_K, "top_k": TopK(k=4)}, "no-effect", "'top_k_correction'"),
        ({"outcome_weight": 1.0}, "no-effect", "'outcome'"),
        ({"balance": BalanceSettings(rule="dispersion")}, "no-effect", "'balance'"),
        ({"loop": {"inner_updates": 2}}, "not-evaluated", "'refresh'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_configured_and_does_nothing_is_an_error_by_the_second_step(settings, code, name):
    loop = LoopSettings(num_steps=2, learning_rate=1e-3, **settings.pop("loop", {}))
    plain = objective()
    told = Distillation(
        plain._routing, plain._teachers, DistilSettings(**settings), loop, control_ids=[]
    )
    for step in (1, 2):
        losses(told, ROUND)  # the same each time, by one update, from the same two teachers
        if step == 1:
            told.end_step(step)
    with raised(FeatureCheckError, code, name):
        told.end_step(2)


def test_a_clip_that_finds_nothing_to_do_is_reported():
    told = objective(advantage_clip=9.0)
    for step in (1, 2):
        losses(told, ROUND)
        found = told.end_step(step)
    assert found["mechanism/advantage_clip/evaluated"] == 2
    assert found["mechanism/advantage_clip/bound"] == 0.0


class Forgetting(Constant):
    """Teachers of whom one has other answers from some moment on, the same each time."""

    lost = 0.0

    def logits(self, teacher, hidden_CD):
        return super().logits(teacher, hidden_CD) + torch.tensor([0.0, self.lost, 0.0, 0.0])


def test_a_teacher_that_changed_between_two_rechecks_is_found():
    told = objective(teachers=Forgetting(**TEACHERS))
    told._monitor = TeacherMonitor(told._teachers, ["m", "c"], recheck_every=1)
    losses(told, ROUND)
    assert told.end_step(1)["unsteady/m"] == 0.0
    told._teachers.lost = LN2
    losses(told, ROUND)
    # Both answers of this step agree; those of the first step were 1/2 where now is 2/3.
    assert told.end_step(2)["unsteady/m"] == pytest.approx(math.log(3 / 2))
