"""How far a rung is: the same number as the gate's full reading gives, and what is kept of it."""

import math

import pytest
import torch

from tasks.contracts.handover import MeasuredRung, TeacherVerdict, Verdict
from tasks.gate.measured import ProbeResult, ProbeSettings, RungReading
from tasks.gate.page import ladder_rows
from tasks.gate.probe_step import with_ladder
from tasks.gate.reading import StudentStates, read
from tasks.onpolicy.microbatch import ScoredRollout
from tests.support.climbs import CLIMB, teacher
from tests.support.measures import measured
from tests.support.refused import refused
from tests.support.tiny_models import rollout as made
from tests.support.tiny_models import tiny_model as tiny


def rollout(count):
    ids = [5, 6, 7, *range(20, 20 + count)]
    return ScoredRollout(made(ids, range(3, len(ids))))


ROLLOUTS = [rollout(count) for count in (4, 9, 1)]


def test_a_rung_is_as_far_as_the_full_reading_says():
    student, rung = tiny(seed=1), tiny(seed=2)
    states = StudentStates(student, ROLLOUTS, 0)
    whole = read(student, rung, ROLLOUTS, ProbeSettings(), 0, str)
    assert states.kl_to(rung) == pytest.approx(whole.kl, rel=1e-5)
    assert states.kl_to(student) == pytest.approx(0.0, abs=1e-6)


def test_a_rung_without_numbers_says_none_and_no_token_is_an_error():
    student, rung = tiny(), tiny()
    with torch.no_grad():
        rung.get_output_embeddings().weight.fill_(math.nan)
    assert math.isnan(StudentStates(student, ROLLOUTS, 0).kl_to(rung))
    with refused("empty-rollouts"):
        StudentStates(student, [], 0).kl_to(rung)


READ = measured({"kl": 0.4}, ladder=(RungReading(step=20, kl=0.1), RungReading(step=40, kl=0.3)))


def probe(*teachers):
    return ProbeResult(settings=ProbeSettings(ladder_stages=2), teachers=teachers, seconds=1.0)


def test_a_teacher_takes_its_rungs_along_and_is_the_last_of_them():
    found = with_ladder(teacher(CLIMB), probe(READ))
    assert [(each.step, each.kl) for each in found.ladder_kl] == [(20, 0.1), (40, 0.3), (80, 0.4)]
    lost = READ.model_copy(update={"ladder": (RungReading(step=20, kl=math.nan), READ.ladder[1])})
    assert [each.step for each in with_ladder(teacher(CLIMB), probe(lost)).ladder_kl] == [40, 80]


@pytest.mark.parametrize("found", [probe(), probe(measured()), probe(measured({"kl": math.nan}))])
def test_who_was_not_measured_takes_none(found):
    assert with_ladder(teacher(CLIMB), found) == teacher(CLIMB)


def test_the_page_says_how_far_each_rung_is_and_which_stage_takes_it():
    verdict = TeacherVerdict(
        name="math",
        domain="math",
        verdict=Verdict.FITS,
        ladder=[MeasuredRung(step=20, kl=0.1)],
    )
    assert ladder_rows(READ, verdict) == [
        ("step 20", "0.100", "25%", "stage 1"),
        ("step 40", "0.300", "75%", ""),
        ("the teacher", "0.400", "100%", "stage 2"),
    ]
    assert ladder_rows(measured(), verdict) == []
