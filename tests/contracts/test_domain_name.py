"""Names of domains."""

import pytest

from tasks.attribution.warmed import WARM_UP
from tasks.contracts.domain_name import RESERVED_NAMES
from tasks.contracts.handover import DomainSettings
from tasks.evaluate import scores
from tasks.ledger import split_adamw
from tests.support.refused import invalid


def test_the_reserved_names_are_those_of_scorecards_ledgers_and_audits():
    assert set(scores.RESERVED) | split_adamw.RESERVED | {WARM_UP} == RESERVED_NAMES


@pytest.mark.parametrize("name", ["left_out", "overall", "rounding", "warm-up"])
def test_a_domain_with_a_reserved_name_is_refused_before_anything_is_made(name):
    with invalid("reserved-name", name):
        DomainSettings(name=name, owner="team", version="1")
