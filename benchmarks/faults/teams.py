"""One team does all that its role allows, beside another: 100 acts a row, in four new worlds."""

from hypothesis import seed as hypothesis_seed
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.lineage.test_two_teams import HealthCheck, TwoTeams

ACTS = 100
_STEPS = 25


def trial(seed: int) -> dict[str, object]:
    """Let the team act 100 times; return what changed for others, which must be nothing."""
    machine = hypothesis_seed(seed)(type("Seeded", (TwoTeams,), {}))
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=ACTS // _STEPS,
                stateful_step_count=_STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except AssertionError as error:
        return {"trials": ACTS, "violations": [str(error)[:2000]]}
    return {"trials": ACTS, "violations": []}
