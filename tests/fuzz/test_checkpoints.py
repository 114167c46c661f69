"""Hostile checkpoints are taken or refused by name, at little cost."""

import pytest

from tests.support.fuzz.checkpoints import PARSERS
from tests.support.fuzz.fuzzing import PART, QUICK, SEEDS, fuzz
from tests.support.fuzz.limited import Limited


@pytest.fixture(scope="module")
def limited():
    with Limited("checkpoints") as process:
        yield process


@pytest.mark.medium
@pytest.mark.parametrize("name", PARSERS)
def test_a_few_inputs(limited, name):
    fuzz(limited, PARSERS, name, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PARSERS)
def test_ten_thousand_inputs(limited, name, seed):
    fuzz(limited, PARSERS, name, PART, seed)
