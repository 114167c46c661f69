"""Measures the testbed: ``python -m benchmarks.testbed [DOMAIN ...]``.

First pass@1, pass@16 and lengths of the base on each domain's held-out prompts, then for each
domain 30 steps of GRPO and the same again. The base and the climbs are recorded steps of the store
in ``PROVOST_HOME``, so a call that was cut off goes on. The rows are
``results/testbed/DOMAIN.json``; in a tree with changes they are only printed.
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
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
    given, circumstances = parser.parse_args(arguments), facts()
    base = make_testbed(scale=Scale.TINY).base
    rows: dict[str, dict[str, Any]] = {}
    for settings in DOMAINS:
        if given.domains and settings.name not in given.domains:
            continue
        domain = collect_domain(StepRunner(), package_of(settings), settings, SEED)
        before = answers(base, domain, settings_of(domain), ANSWERS_BEFORE)
        rows[settings.name] = {
            **{"seed": SEED, "base": figures_of(before), "rows": {"base": rows_of(before)}},
            "domain": domain,
        }
        keep(rows[settings.name], circumstances)
    for row in rows.values():
        climbed(base, row)
        keep(row, circumstances)


def climbed(base: Artifact, row: dict[str, Any]) -> None:
    """Add the figures after a climb to a domain's row."""
    domain: Domain = row["domain"]
    rl = settings_of(domain)
    started = time.process_time()
    ladder = climb(StepRunner(), base, domain, rl, SEED)
    seconds = time.process_time() - started
    after = answers(ladder[-1].checkpoint, domain, rl, ANSWERS_AFTER)
    row |= {
        "steps": rl.loop.num_steps,
        "rollouts_per_step": rl.prompts_per_step * rl.rollouts_per_prompt,
        "seconds_per_step": round(seconds / rl.loop.num_steps, 2),
        "climbed": figures_of(after),
    }
    row["rows"]["climbed"] = rows_of(after)


def settings_of(domain: Domain) -> RlSettings:
    """Return the settings of the team's climb."""
    found: RlSettings = import_module(f"{package_of(domain.settings)}.settings").RL
    return found


def keep(row: Mapping[str, Any], circumstances: Mapping[str, object]) -> None:
    """Write a domain's row, and print its figures."""
    name, figures = row["domain"].settings.name, {k: v for k, v in row.items() if k != "domain"}
    if circumstances["clean"]:
        content = {"figures": figures, "circumstances": dict(circumstances)}
        write_whole(RESULTS / "testbed" / f"{name}.json", content)
    shown = {key: value for key, value in figures.items() if key != "rows"}
    sys.stdout.write(as_text({"domain": name, **shown}))


def answers(checkpoint: Artifact, domain: Domain, rl: RlSettings, each: int) -> Answers:
    """Return a checkpoint's answers to the domain's first evaluation prompts."""
    use_configured_threads()
    runner, name = StepRunner(), domain.settings.name
    policy = load_policy(runner.store.tree(checkpoint.digest))
    prompts = stored_prompts(runner.store, domain.evaluation)[:NUM_PROMPTS]
    allowed = rl.sampling.allow_unconfined
    with open_environment(
        runner.store, domain.environment, name, allow_unconfined=allowed
    ) as worker:
        player = make_player({name: worker}, policy, rl.sampling)
        repeated = [prompt for prompt in prompts for _ in range(each)]
        return answers_of(play(player, name, repeated, SEED))


if __name__ == "__main__":
    main()
