"""Which checkpoint of a ladder a recipe goes on with."""

import pytest

from lineage.artifacts import Artifact, Rung
from tasks.recipe.task import finished_policy, late_policy

LADDER = [
    Rung(step=step, checkpoint=Artifact(kind="checkpoint", digest=f"sha256:{step:064x}"))
    for step in (1, 2, 3)
]


@pytest.mark.parametrize(("before", "step"), [(0, 3), (1, 2), (2, 1), (9, 1)])
def test_a_late_checkpoint_is_counted_from_the_last(before, step):
    assert late_policy(ladder=LADDER, before=before).digest == f"sha256:{step:064x}"


def test_the_finished_policy_is_the_last():
    assert finished_policy(ladder=LADDER).digest == f"sha256:{3:064x}"
