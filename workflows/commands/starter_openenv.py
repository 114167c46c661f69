"""The files of a new team that plays an environment of OpenEnv's interface: reset and step.

The environment's class runs in the team's worker, not behind its HTTP server: a worker has no
network. OpenEnv says nothing of right answers, so the team writes its demonstrations.
"""

from collections.abc import Sequence

from tasks.contracts.refusal import RefusedError
from workflows.commands.starter import Starter

_ENVIRONMENT = '''\
"""Plays $kind of $module: the model reads its observations, and answers with an action's text."""

import importlib
import importlib.util
import sys
import types
import typing
from collections.abc import Sequence

from tasks.rollout.environment import Grade, Prompt, Turn

MODULE = "$module"
KIND = "$kind"
MAX_TURNS = 8


def _load_interface() -> None:
    """Make OpenEnv's interface importable without its server, which a worker cannot run."""
    top = importlib.util.find_spec("openenv")
    folder = next(iter(top.submodule_search_locations))
    for name in ("openenv.core", "openenv.core.env_server"):
        package = types.ModuleType(name)
        package.__path__ = [f"{folder}/{name.replace('.', '/').removeprefix('openenv/')}"]
        package.__getattr__ = _of_interface
        sys.modules[name] = package


def _of_interface(name: str):
    """Return a name of the interface, as the package that it stands for would."""
    for part in ("interfaces", "types"):
        module = importlib.import_module(f"openenv.core.env_server.{part}")
        if not name.startswith("__") and hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(name)


_load_interface()
PLAYED = getattr(importlib.import_module(MODULE), KIND)
ACTION = typing.get_type_hints(PLAYED.step)["action"]
TEXTS = [name for name, field in ACTION.model_fields.items() if field.annotation is str]


class Played:
    """One episode of the environment for each call, played again from its seed."""

    max_turns = MAX_TURNS

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """Return the next observation, or None where the episode is done."""
        seen, _ = _play(prompt, turns)
        num_turns = sum(turn.role == "assistant" for turn in turns)
        return None if seen.done or num_turns >= MAX_TURNS else text_of(seen)

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give the last reward of the episode, as far as it is between 0 and 1."""
        _, reward = _play(prompt, turns)
        return Grade(min(max(reward, 0.0), 1.0), "" if reward >= 1 else f"reward {reward:g}")


def _play(prompt: Prompt, turns: Sequence[Turn]):
    """Return the last observation and the last reward."""
    played = PLAYED()
    try:
        seen = played.reset(seed=int(prompt.task["seed"]))
        reward = 0.0
        for turn in turns:
            if turn.role == "assistant" and not seen.done:
                seen = played.step(ACTION(**{TEXTS[0]: turn.content}))
                reward = float(seen.reward or 0.0)
        return seen, reward
    finally:
        played.close()


def text_of(seen) -> str:
    """Return the texts of an observation, a line each."""
    return "\\n".join(value for value in seen.model_dump().values() if isinstance(value, str))


ENVIRONMENT = Played()
'''

_PROMPTS = '''\
"""First observations of $kind, and demonstrations of your own."""

import random
import sys
from collections.abc import Iterator

from tasks.rollout.environment import Demonstration, Message, Prompt, Split, Turn, split_of, tries

_SEEDS = 2**31


def solve(observation: str) -> str:
    """Return a good first action. Replace this: OpenEnv does not say what is right."""
    return observation


def prompts(split: Split, count: int, seed: int) -> Iterator[Prompt]:
    """Yield ``count`` different first observations of a split, which their hash decides."""
    ours = sys.modules["bundle_environment"]  # environment.py, which is loaded first
    rng, seen, attempts = random.Random(f"$team {split} {seed}"), set[str](), tries(count)
    while len(seen) < count:
        next(attempts)  # says so if there are not so many different observations
        drawn = rng.randrange(_SEEDS)
        played = ours.PLAYED()
        observation = ours.text_of(played.reset(seed=drawn))
        played.close()
        if split_of(observation) == split and observation not in seen:
            seen.add(observation)
            yield Prompt(f"$team-{drawn}", (Message("user", observation),), {"seed": drawn})


def demonstrations(count: int, seed: int) -> Iterator[Demonstration]:
    """Yield first turns with the actions of ``solve``."""
    for prompt in prompts("train", count, seed):
        action = solve(prompt.messages[-1].content)
        yield Demonstration(prompt.messages, (Turn("assistant", action),))
'''

_TESTS = '''\
"""What the $team team's environment answers, in its bundle and worker, as a release runs it."""

from functools import partial

from lineage.store.store import open_store
from lineage.wheels import wheel_in
from tasks.rollout.client import Episode
from tasks.rollout.worker.bundle import collect
from tasks.rollout.worker.client import EnvironmentWorker
from $package.settings import DOMAIN
from $package.workflow import climb


def test_the_same_seed_plays_the_same_episode(tmp_path_factory, monkeypatch):
    monkeypatch.undo()  # the store with the wheels, not the test's own
    stored = partial(wheel_in, open_store())
    bundle = collect("$package", tmp_path_factory.mktemp("bundle"), stored)
    with EnvironmentWorker(bundle) as worker:
        prompts = {prompt.messages: prompt for prompt in worker.prompts("train", 3, 0)}
        shown = worker.demonstrations(3, 0)
        episodes = [Episode(prompts[each.messages], each.turns) for each in shown]
        assert worker.grade(episodes) == worker.grade(episodes)


def test_the_climb_begins_at_the_released_fork_point():
    assert climb.python_interface.default_inputs_as_kwargs["fork_point"] == "fork-point@released"
    assert DOMAIN.owner == "team-$team"
'''

_REQUIREMENTS = """\
# OpenEnv requires a server, a client and more; its interface needs pydantic alone.
# Lock it with --no-deps.
openenv==0.10.0
pydantic
pydantic-core
annotated-types
typing-extensions
typing-inspection
"""


def openenv_starter(module: str, kind: str, requires: Sequence[str]) -> Starter:
    """Return the files of a team that plays a class of an installed environment package.

    Args:
        module: Module of the environment, dotted.
        kind: Name of the class in it, which implements OpenEnv's ``Environment``.
        requires: Packages that bring it, as requirements; what these need must be listed too.

    Raises:
        RefusedError: ``unknown-environment`` for what cannot name a class of a module.
    """
    if not all(part.isidentifier() for part in (*module.split("."), kind)) or not requires:
        raise RefusedError(
            "unknown-environment",
            f"'openenv:{module}:{kind}' with the packages {list(requires)} is not a class of a "
            "package: give openenv:MODULE:CLASS, and its package with --requires PACKAGE==VERSION",
        )
    return Starter(
        f"Plays {kind} of {module}.",
        _ENVIRONMENT,
        _TESTS,
        prompts=_PROMPTS,
        requirements=_REQUIREMENTS + "".join(f"{each}\n" for each in requires),
        dependencies=False,
        shows_right=False,
        fills={"module": module, "kind": kind},
    )
