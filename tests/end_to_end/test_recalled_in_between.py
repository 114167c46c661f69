"""A teacher is recalled while a consolidation runs: it ends at the next state or round."""

import pytest

from lineage.errors import RecalledError
from lineage.operations.gc import STATES
from lineage.records.record import Records
from lineage.registry.registry import Registry
from tasks.mopd import round as rounds
from tasks.mopd.round import RecallWatch, distil_rounds
from tasks.platform.resume import RandomNumbers, States
from tests.support.mopd_rounds import faculty_at, planned, told
from tests.support.states import save_states_often


@pytest.fixture
def runner(home_with_teachers, tmp_path):
    with faculty_at(home_with_teachers, tmp_path / "faculty") as made:
        yield made


@pytest.fixture
def plan(runner):
    return planned(runner)


def recall(runner, name="teacher.shout"):
    Registry(runner.store).recall(name, 1, by="the owner", reason="leaked answers")


def rounds_of(runner):
    records = Records(runner.store)
    return [record for record in records.all() if records.read(record).kind == "mopd"]


@pytest.mark.parametrize("name", ["teacher.shout", "fork-point"])
def test_a_round_does_not_begin_with_what_was_recalled(runner, plan, name):
    recall(runner, name)
    with pytest.raises(RecalledError):
        distil_rounds(runner, plan, told(), 1, 0)
    assert rounds_of(runner) == []


def test_the_round_after_a_recall_does_not_begin(runner, plan, monkeypatch):
    distil = rounds.distil_round

    def distil_and_recall(*arguments):
        made = distil(*arguments)
        recall(runner)
        return made

    monkeypatch.setattr(rounds, "distil_round", distil_and_recall)
    with pytest.raises(RecalledError):
        distil_rounds(runner, plan, told(), 2, 0)
    assert len(rounds_of(runner)) == 1


def test_a_state_is_neither_saved_nor_resumed(runner, plan):
    parts = {"random": RandomNumbers(), "recalls": RecallWatch(runner.store, plan)}
    states = States(runner.store, "sha256:" + "a" * 64, parts)
    states.save(3)
    [kept] = runner.store.keys(f"projects/local/{STATES}")
    assert states.restore() == 3
    recall(runner)
    with pytest.raises(RecalledError):
        states.restore()
    with pytest.raises(RecalledError):
        states.save(4)
    assert list(runner.store.keys(f"projects/local/{STATES}")) == [kept]


def test_a_round_gives_its_watch_to_its_states(runner, plan, monkeypatch):
    """With every step put away, a recall after the first one ends the round at the second."""
    save_states_often(monkeypatch.setattr)
    save, seen = States.save, []

    def save_and_recall(states, step):
        save(states, step)
        seen.append(step)
        if step == 1:
            recall(runner)

    monkeypatch.setattr(States, "save", save_and_recall)
    with pytest.raises(RecalledError):
        distil_rounds(runner, plan, told(), 1, 0)
    assert seen == [1]
    assert rounds_of(runner) == []
