"""Measures the testbed: ``python -m benchmarks.testbed [DOMAIN ...]``.

For each domain: pass@1, pass@16 and lengths of the base on held-out prompts, then 30 steps of GRPO
and the same again. The base and the climbs are recorded steps of the store in ``PROVOST_HOME``, so
a call that was cut off goes on. Each finished domain leaves a row, ``results/testbed/DOMAIN.json``;
in a tree with changes it only prints it.
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.common.circumstances import RESULTS, facts
from benchmarks.common.results import as_text, write_whole
from benchmarks.testbed.measure import Answers, answers_of, figures_of, rows_of
from lineage.artifacts import Artifact
from tasks.contracts.handover import Domain
from tasks.contracts.scale import Scale
from tasks.model.files import load_policy
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.release.domain import collect_domain
from tasks.rl.climb import climb
from tasks.rl.settings import RlSettings
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts
from workflows.testbed.base import DOMAINS, make_testbed, package_of

NUM_PROMPTS = 48
ANSWERS_BEFORE = 16
ANSWERS_AFTER = 4
SEED = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the domains that were given, or all."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("domains", nargs="*", help="all, if none is given")
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.TINY)
    given = parser.parse_args(arguments)
    circumstances, started = facts(), time.process_time()
    base = make_testbed(scale=given.scale).base
    made_seconds = time.process_time() - started
    for settings in DOMAINS:
        if given.domains and settings.name not in given.domains:
            continue
        domain = collect_domain(StepRunner(), package_of(settings), settings, SEED)
        figures = measured(base, domain)
        if made_seconds > 60:  # else it was found in the store
            figures["base_seconds"] = round(made_seconds)
        row = {"figures": figures, "circumstances": circumstances}
        if circumstances["clean"] and given.scale is Scale.TINY:
            write_whole(RESULTS / "testbed" / f"{settings.name}.json", row)
        sys.stdout.write(as_text({"domain": settings.name, **_without_rows(figures)}))


def measured(base: Artifact, domain: Domain) -> dict[str, Any]:
    """Return the figures of one domain before and after a climb, with the raw rows."""
    rl: RlSettings = import_module(f"{package_of(domain.settings)}.settings").RL
    before = answers(base, domain, rl, ANSWERS_BEFORE)
    started = time.process_time()
    ladder = climb(StepRunner(), base, domain, rl, SEED)
    seconds = time.process_time() - started
    after = answers(ladder[-1].checkpoint, domain, rl, ANSWERS_AFTER)
    return {
        "seed": SEED,
        "base": figures_of(before),
        "steps": rl.loop.num_steps,
        "rollouts_per_step": rl.prompts_per_step * rl.rollouts_per_prompt,
        "seconds_per_step": round(seconds / rl.loop.num_steps, 2),
        "climbed": figures_of(after),
        "rows": {"base": rows_of(before), "climbed": rows_of(after)},
    }


def answers(checkpoint: Artifact, domain: Domain, rl: RlSettings, each: int) -> Answers:
    """Return a checkpoint's answers to the domain's first evaluation prompts."""
    use_configured_threads()
    runner, name = StepRunner(), domain.settings.name
    policy = load_policy(runner.store.tree(checkpoint.digest))
    prompts = stored_prompts(runner.store, domain.evaluation)[:NUM_PROMPTS]
    confined = not rl.sampling.allow_unconfined
    with open_environment(
        runner.store, domain.environment, name, allow_unconfined=not confined
    ) as worker:
        player = make_player({name: worker}, policy, rl.sampling)
        repeated = [prompt for prompt in prompts for _ in range(each)]
        return answers_of(play(player, name, repeated, SEED))


def _without_rows(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "rows"}


if __name__ == "__main__":
    main()
