"""Hostile records, slots and waivers are read or refused by name, at little cost."""

import pytest

from tests.support.fuzz.fuzzing import PART, QUICK, SEEDS, fuzz
from tests.support.fuzz.limited import Limited
from tests.support.fuzz.records import PARSERS


@pytest.fixture(scope="module")
def limited():
    with Limited("records") as process:
        yield process


@pytest.mark.parametrize("name", PARSERS)
def test_a_few_inputs(limited, name):
    fuzz(limited, PARSERS, name, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PARSERS)
def test_ten_thousand_inputs(limited, name, seed):
    fuzz(limited, PARSERS, name, PART, seed)
