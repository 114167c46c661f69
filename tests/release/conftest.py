"""Two climbs and their consolidation, made once and copied by each test."""

import pytest

from tasks.platform.step_runner import StepRunner
from tests.support.consolidations import Consolidated
from tests.support.mirrors import MemoryMirror
from tests.support.runs import Climbed, Maker
from tests.support.tiny_faculty import home_at

SEED = 100


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Return a home, its maker, climbs of math and code, and a consolidation of both."""
    folder = tmp_path_factory.mktemp("climbed") / "home"
    with home_at(folder):
        make = Maker(StepRunner(mirror=MemoryMirror()))
        start = make.checkpoint(0)
        climbs = [Climbed(make, start, name, seed) for seed, name in enumerate(("math", "code"), 1)]
        return folder, make, climbs, Consolidated(make, climbs, SEED)


@pytest.fixture
def make(home, made_once, kept_homes):
    """Put what was made into this test's home; return the maker, which goes on there."""
    folder, make, *_ = made_once
    with kept_homes.lent(folder, home):
        make.runner = StepRunner(mirror=MemoryMirror())
        yield make


@pytest.fixture
def climbs(make, made_once):
    return list(made_once[2])


@pytest.fixture
def consolidated(make, climbs, made_once):
    """Return a maker of consolidations of math and code; the plainest one is made already."""

    def of(seed=SEED, **told):
        return (
            made_once[3] if seed == SEED and not told else Consolidated(make, climbs, seed, **told)
        )

    return of
