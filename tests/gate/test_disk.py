"""A consolidation that the disk cannot hold is refused before anything is measured or trained."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from tasks.gate.forecast import (
    Forecast,
    refuse_small_disk,
    refuse_what_cannot_run,
)
from tasks.gate.machine import Machine
from tests.gate.test_plan_page import plan_of
from tests.support.estimates import fit
from tests.support.refused import refused

COST = Forecast(
    parameters=1,
    teacher_parameters=1,
    tokens_per_step=1.0,
    operations=1.0,
    machine=Machine("a machine", 0, "", 1.0, "a guess"),
    fit=fit(1),
    storage=1000,
)


@dataclass
class Records:
    """Records of rounds: a name, the artifacts taken, and whether there is an output."""

    rounds: dict = field(default_factory=dict)

    def all(self):
        return list(self.rounds)

    def read(self, digest):
        taken, _ = self.rounds[digest]
        return SimpleNamespace(kind="mopd", inputs=[SimpleNamespace(artifact=a) for a in taken])

    def finished(self, digest):
        return "attested" if self.rounds[digest][1] else None


def runner(uri="/store", *, only_finds=False, **rounds):
    return SimpleNamespace(
        store=SimpleNamespace(uri=uri), only_finds=only_finds, records=Records(rounds)
    )


def check(room, given=None, plan=None):
    refuse_small_disk(given or runner(), plan or plan_of(), COST, free=lambda folder: room)


def test_the_room_must_hold_all_that_is_stored():
    check(1000)
    with refused("disk-too-small", "/store"):
        check(999)


def test_a_bucket_has_no_known_end():
    check(0, runner(uri="s3://bucket/prefix"))


def test_who_only_finds_stores_nothing():
    check(0, runner(only_finds=True))


@pytest.mark.parametrize("finished", [True, False])
def test_a_finished_round_of_these_teachers_is_stored_already(finished):
    plan = plan_of()
    taken = [plan.student.digest, *(teacher.checkpoint.digest for teacher in plan.teachers)]
    found = runner(one=(taken, finished), other=(taken[:1], True))
    if finished:
        check(0, found, plan)
    else:
        with refused("disk-too-small"):
            check(0, found, plan)


def test_a_round_that_fits_no_memory_is_refused_before_it_is_trained():
    fits = replace(COST, fit=fit(1 << 40), storage=0)
    refuse_what_cannot_run(runner("s3://bucket/prefix"), plan_of(), fits)
    with refused("memory-too-small", "a flavor"):
        refuse_what_cannot_run(runner("s3://bucket/prefix"), plan_of(), COST)
    refuse_what_cannot_run(runner("s3://bucket/prefix", only_finds=True), plan_of(), COST)
    plan = plan_of()
    taken = [plan.student.digest, *(teacher.checkpoint.digest for teacher in plan.teachers)]
    refuse_what_cannot_run(runner("s3://bucket/prefix", one=(taken, True)), plan, COST)
