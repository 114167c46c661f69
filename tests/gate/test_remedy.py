"""Which remedy is applied, by verdict and what was asked for."""

import pytest

from tasks.contracts.handover import OnMisfit, Remedy
from tasks.gate.verdict import GateSettings, applied_remedy, judge
from tests.support.measures import OTHER_WORDS, SWAP, measured


def judged(swap, **scores):
    return judge(measured({}, scores, swap=swap), "teacher.math@1", GateSettings())


FITS, SHORT, NO_GAIN = judged(SWAP), judged(OTHER_WORDS), judged(SWAP, difference=-0.2)


@pytest.mark.parametrize(
    ("found", "asked", "done"),
    [
        (FITS, OnMisfit.REMEDY, Remedy.NONE),
        (FITS, OnMisfit.DROP, Remedy.NONE),
        (SHORT, OnMisfit.REFUSE, Remedy.NONE),
        (SHORT, OnMisfit.REMEDY, Remedy.WARM_UP),
        (SHORT, OnMisfit.DROP, Remedy.DROP),
        (NO_GAIN, OnMisfit.DROP, Remedy.DROP),
        # Whom no remedy helps is not left out unasked: it stays a refusal.
        (NO_GAIN, OnMisfit.REMEDY, Remedy.NONE),
    ],
)
def test_the_applied_remedy_follows_the_setting(found, asked, done):
    assert applied_remedy(found, asked) is done
