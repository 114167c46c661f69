"""One team does all that its role allows, beside another: about 125 acts a row, in new worlds.

Hypothesis begins with the simplest acts there are, so the first world of a row is always the same.
"""

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as hypothesis_seed
from hypothesis.stateful import run_state_machine_as_test

from lineage.errors import LineageError
from tests.lineage.test_two_teams import TwoTeams

_WORLDS = 5
_STEPS = 25


def trial(seed: int) -> dict[str, object]:
    """Let the team act; return what changed for others, which must be nothing."""
    return run_machine(TwoTeams, seed, worlds=_WORLDS, steps=_STEPS)


def run_machine(
    machine: type[TwoTeams], seed: int, *, worlds: int, steps: int
) -> dict[str, object]:
    """Let team A act in new worlds; return how often it did, and what changed for others."""
    acts = 0

    class Counted(machine):  # type: ignore[valid-type, misc]
        def teardown(self) -> None:
            nonlocal acts
            acts += getattr(self, "acts", 0)
            super().teardown()

    violations = []
    try:
        run_state_machine_as_test(
            hypothesis_seed(seed)(Counted),
            settings=settings(
                max_examples=worlds,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except (AssertionError, LineageError) as error:
        violations.append(str(error)[:2000])
    return {"trials": acts, "violations": violations}
