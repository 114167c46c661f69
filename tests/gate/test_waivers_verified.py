"""``lineage verify`` says of each waiver among the ancestors whether it holds (finding M4)."""

import pytest

from lineage.graph.graph import Lineage
from lineage.launches.waiver import NEVER_WAIVED
from lineage.operations.verify import Verifier
from tasks.gate.plan import propose
from tests.gate.test_plan import Faculty
from tests.gate.test_waivers import ASKED, OURS, STRANGE, THEIRS, forged, signed
from tests.gate.test_waivers import runner as _runner

runner = _runner


@pytest.fixture
def plan(runner):
    faculty = Faculty(runner)
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))
    return propose(runner, *ASKED).artifact


def wrong(runner, digest):
    """Return what verify says against the record of a waiver."""
    [record] = Lineage(runner.store).index.makers(digest)
    found = Verifier(runner.store, None).verify(record)
    return [p.what.partition("]")[0] for p in found.problems if p.subject == f"waiver {digest}"]


def test_a_waiver_that_holds_is_verified(runner, plan):
    assert wrong(runner, signed(runner).digest) == []
    assert wrong(runner, forged(runner, plan, key=OURS)) == []


@pytest.mark.parametrize("key", [THEIRS, STRANGE], ids=["a team of teachers", "a stranger"])
def test_a_waiver_of_somebody_who_may_not_sign_it_is_wrong(runner, plan, key):
    assert wrong(runner, forged(runner, plan, key=key)) == ["[signature"]


def test_a_waiver_of_another_store_or_of_an_unwaivable_finding_is_wrong(runner, plan):
    assert wrong(runner, forged(runner, plan, store="0" * 32)) == ["[signature"]
    never = min(NEVER_WAIVED)
    assert wrong(runner, forged(runner, plan, code=never)) == ["[signature"]
