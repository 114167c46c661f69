"""States of a run in the store: when they are put away, and what is gone on from."""

import itertools
import json
import random

import pytest
import torch

from lineage.errors import NotEntitledError
from lineage.store.store import FolderStore
from tasks.platform.resume import JsonPart, RandomNumbers, States
from tests.support.teams import Shared

RUN = "sha256:" + "12" * 32


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow:
    """A part that takes a while to write."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.value = clock, seconds, 0

    def save(self, folder):
        self.clock.now += self.seconds
        (folder / "value").write_text(str(self.value))

    def load(self, folder):
        self.value = int((folder / "value").read_text())


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "store")


def test_a_run_without_a_state_begins_at_the_beginning(store):
    part = Slow(Clock(), 0)
    assert States(store, RUN, {"slow": part}).restore() == 0


def test_the_last_state_is_gone_on_from(store):
    part = Slow(Clock(), 0)
    states = States(store, RUN, {"slow": part})
    for step in (3, 5):
        part.value = step * 10
        states.save(step)
    part.value = -1
    assert States(store, RUN, {"slow": part}).restore() == 5
    assert part.value == 50


def test_states_of_another_run_are_not_looked_at(store):
    part = Slow(Clock(), 0)
    States(store, RUN, {"slow": part}).save(3)
    assert States(store, "sha256:" + "34" * 32, {"slow": part}).restore() == 0


def test_a_state_of_another_team_is_not_gone_on_from(tmp_path):
    shared, part = Shared(tmp_path / "shared"), Slow(Clock(), 0)
    mine = [States(shared.math, RUN, {"slow": part}) for _ in range(2)]
    States(shared.code, RUN, {"slow": part}).save(9)  # in its own place, where it may write
    assert mine[0].restore() == 0
    mine[0].save(3)
    assert mine[1].restore() == 3
    # What no role allows: their state, signed by them, where ours lie.
    theirs, ours = (
        f"keys/projects/{team}/states/{'12' * 32}" for team in ("code-team", "math-team")
    )
    data = (shared.folder / theirs / f"{1:08d}").read_bytes()
    (shared.folder / ours / f"{2:08d}").write_bytes(data)
    with pytest.raises(NotEntitledError):
        States(shared.math, RUN, {"slow": part}).restore()


@pytest.mark.parametrize(("takes", "wait"), [(1, 120), (30, 600)])
def test_states_cost_at_most_a_twentieth_and_come_at_most_every_two_minutes(store, takes, wait):
    clock = Clock()
    states = States(store, RUN, {"slow": Slow(clock, takes)}, clock)
    saved = []
    for step in range(1, 3000):
        before = clock.now
        states.save_if_due(step)
        if clock.now > before:
            saved.append(clock.now)
        clock.now += 1
    gaps = [b - a for a, b in itertools.pairwise(saved)]
    assert saved[0] == 120 + takes
    assert set(gaps) == {wait + takes}


@pytest.mark.parametrize(
    ("room", "wait"),
    [
        (64, 450),  # 16 bytes for the states of 7,200 s: one of 1 byte every 450 s
        (1 << 20, 120),
        (None, 120),  # a bucket has no end
    ],
)
def test_states_of_two_hours_take_at_most_a_quarter_of_the_free_disk(store, room, wait):
    clock = Clock()
    states = States(store, RUN, {"slow": Slow(clock, 0)}, clock, lambda _: room)
    states.save(1)
    before = len(store.keys("projects/local/states"))
    clock.now += wait - 1
    states.save_if_due(2)
    assert len(store.keys("projects/local/states")) == before
    clock.now += 1
    states.save_if_due(3)
    assert len(store.keys("projects/local/states")) == before + 1


def test_two_writers_of_one_run_lose_nothing(store):
    one, other = (States(store, RUN, {"slow": Slow(Clock(), 0)}) for _ in range(2))
    one.save(1)
    other.save(1)
    one.save(2)
    assert len(store.keys("projects/local/states")) == 3
    assert other.restore() == 2


def test_a_run_goes_on_with_as_many_threads(store):
    torch.set_num_threads(2)
    parts = {"slow": Slow(Clock(), 0)}
    States(store, RUN, parts).save(1)
    torch.set_num_threads(1)
    assert States(store, RUN, parts).restore() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_random_numbers_go_on_where_they_were(tmp_path):
    part = RandomNumbers()
    part.save(tmp_path)
    expected = torch.rand(3).tolist(), random.random(), random.gauss(0, 1)
    torch.rand(7)
    random.seed(99)
    part.load(tmp_path)
    assert (torch.rand(3).tolist(), random.random(), random.gauss(0, 1)) == expected


def test_a_json_part_writes_what_it_is_given(tmp_path):
    heard = []
    part = JsonPart(lambda: {"a": [1, 2.5]}, heard.append)
    part.save(tmp_path)
    part.load(tmp_path)
    assert heard == [{"a": [1, 2.5]}]
    assert json.loads((tmp_path / "state.json").read_text()) == {"a": [1, 2.5]}
