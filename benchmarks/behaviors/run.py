"""One world from its number to its row."""

from typing import Any

from benchmarks.behaviors.absence import measured
from benchmarks.behaviors.asking import audited
from benchmarks.behaviors.making import Numbers, make
from benchmarks.behaviors.world import BehaviorWorld
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts


def audit(world: BehaviorWorld, numbers: Numbers | None = None) -> dict[str, Any]:
    """Return a world's row: who taught what, and what every estimator says of it."""
    use_configured_threads()
    runner = StepRunner()
    made = make(runner, world, numbers or Numbers())
    prompts = {each.domain: stored_prompts(runner.store, each.train) for each in made.plan.teachers}
    return {
        "world": world.number,
        "seats": {seat.name: seat.domain for seat in world.seats},
        "audited_share": {
            domain: round(world.audited_share(domain, rows), 4) for domain, rows in prompts.items()
        },
        "behaviors": audited(runner, world, made),
    }


def absence(world: BehaviorWorld, numbers: Numbers | None = None) -> dict[str, Any]:
    """Return what retrains and rehearsals without two teachers say of every behavior."""
    use_configured_threads()
    runner = StepRunner()
    chosen = numbers or Numbers()
    return measured(runner, world, make(runner, world, chosen), chosen)
