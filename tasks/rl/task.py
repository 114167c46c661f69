"""Flyte tasks of RL."""

from functools import partial

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import Domain
from tasks.platform.hosting import hosted, show
from tasks.platform.resources import Stage
from tasks.rl.external_settings import ExternalTrainer
from tasks.rl.settings import RlSettings


@hosted(Stage.SFT)  # the stage that never spreads: the command starts its own ranks
def climb_outside(
    start: Artifact, domain: Domain, settings: ExternalTrainer, package: str, seed: int
) -> list[Rung]:
    """Climb by a command of the team's; return the ladder that it leaves."""
    from tasks.platform.step_runner import StepRunner
    from tasks.rl import external as step

    return step.climb_outside(StepRunner(), start, domain, settings, package, seed)


@hosted(Stage.CLIMB, deck=True)
def reinforce(
    start: Artifact,
    domains: list[Domain],
    settings: RlSettings,
    seed: int,
    models: dict[str, Artifact],
) -> list[Rung]:
    """Run RL on one domain or several at once; return the ladder, the finished policy last.

    ``models`` are those that the settings name beside the start, such as ``reference``.
    """
    from tasks.platform.step_runner import StepRunner
    from tasks.platform.views import drawn_live
    from tasks.reports.curves import measured_page
    from tasks.rl import reinforce as step

    names = " and ".join(domain.settings.name for domain in domains)
    draw = partial(measured_page, f"RL on {names}")
    with drawn_live(draw, partial(show, "training")):
        given = [domain.training for domain in domains]
        return step.reinforce(StepRunner(), start, given, settings, seed, models)


@hosted(Stage.CLIMB, deck=True)
def climb(start: Artifact, domain: Domain, settings: RlSettings, seed: int) -> list[Rung]:
    """Climb from the supervised checkpoint by RL with verifiable rewards; return the ladder."""
    from tasks.platform.step_runner import StepRunner
    from tasks.platform.views import drawn_live
    from tasks.reports.curves import measured_page
    from tasks.rl import climb as step

    draw = partial(measured_page, f"The climb of {domain.settings.name}")
    with drawn_live(draw, partial(show, "training")):
        return step.climb(StepRunner(), start, domain, settings, seed)
