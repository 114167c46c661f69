"""``lineage verify`` says of each waiver among the ancestors whether it holds (finding M4)."""

import pytest

from lineage.graph import Lineage
from lineage.verify import Verifier
from lineage.waiver import NEVER_WAIVED
from tasks.gate.plan import propose
from tests.gate.test_plan import Faculty
from tests.gate.test_waivers import ASKED, OURS, STRANGE, THEIRS, forged, signed
from tests.gate.test_waivers import bench as _bench

bench = _bench


@pytest.fixture
def plan(bench, tmp_path):
    faculty = Faculty(bench, tmp_path)
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))
    return propose(bench, *ASKED).artifact


def wrong(bench, digest):
    """Return what verify says against the record of a waiver."""
    [record] = Lineage(bench.store).index.makers(digest)
    found = Verifier(bench.store, None).verify(record)
    return [p.what.partition("]")[0] for p in found.problems if p.subject == f"waiver {digest}"]


def test_a_waiver_that_holds_is_verified(bench, plan):
    assert wrong(bench, signed(bench).digest) == []
    assert wrong(bench, forged(bench, plan, key=OURS)) == []


@pytest.mark.parametrize("key", [THEIRS, STRANGE], ids=["a team of teachers", "a stranger"])
def test_a_waiver_of_somebody_who_may_not_sign_it_is_wrong(bench, plan, key):
    assert wrong(bench, forged(bench, plan, key=key)) == ["[signature"]


def test_a_waiver_of_another_store_or_of_what_nobody_may_accept_is_wrong(bench, plan):
    assert wrong(bench, forged(bench, plan, store="0" * 32)) == ["[signature"]
    never = min(NEVER_WAIVED)
    assert wrong(bench, forged(bench, plan, code=never)) == ["[signature"]
