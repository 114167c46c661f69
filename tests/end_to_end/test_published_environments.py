"""Published environments in a team's worker: OpenEnv's interface, reasoning-gym's families."""

import pytest

from lineage.store.store import open_store
from lineage.wheels import wheel_in
from tasks.contracts.refusal import RefusedError
from tasks.rollout.client import EnvironmentFailure, Episode
from tasks.rollout.environment import Turn
from tasks.rollout.worker.bundle import bundle_of
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import episodes
from tests.support.wheels import write_wheel
from workflows.commands.starter_gym import EXECUTING, FAMILIES, gym_starter
from workflows.commands.starter_openenv import openenv_starter
from workflows.commands.starting import write_starter

GUESSING = '''
import random

from openenv.core.env_server import Environment
from openenv.core.env_server.types import Action, Observation, State


class Guess(Action):
    text: str


class Answer(Observation):
    said: str


class Guessing(Environment):
    """A number from 0 to 99, guessed in two turns."""

    def reset(self, seed=None, episode_id=None, **kwargs):
        self.number = random.Random(seed).randrange(100)
        self.turns = 0
        return Answer(said=f"A number near {self.number + 1}?")

    def step(self, action: Guess, timeout_s=None, **kwargs):
        self.turns += 1
        right = action.text == str(self.number)
        done = right or self.turns == 2
        return Answer(said="no", done=done, reward=1.0 if right else 0.25)

    @property
    def state(self):
        return State()
'''


def write_or_skip(folder, starter, links=None):
    """Write a team's folder with the published packages, where pip reaches them."""
    try:
        write_starter(folder, starter, "team", "acme.team", links)
    except RefusedError as error:
        if error.code == "unresolved-requirements":
            pytest.skip(f"pip reaches no index: {error}")
        raise


@pytest.mark.slow
def test_an_environment_is_played_again_from_its_seed_at_each_call(tmp_path):
    """Needs an index that pip reaches."""
    links = tmp_path / "links"
    write_wheel(links, "acme_guessing", {"acme_guessing/__init__.py": GUESSING})
    starter = openenv_starter("acme_guessing", "Guessing", ["acme-guessing==1.0"])
    write_or_skip(tmp_path / "team", starter, links)
    store = open_store()
    bundle = bundle_of(tmp_path / "team", tmp_path / "bundle", lambda d: wheel_in(store, d))
    with EnvironmentWorker(bundle) as worker:
        (prompt,) = worker.prompts("train", 1, 0)
        number = int(prompt.messages[0].content.split()[-1].rstrip("?")) - 1
        wrong, right = Turn("assistant", "far"), Turn("assistant", str(number))
        episodes = [
            Episode(prompt, turns)
            for turns in (
                (wrong,),
                (right,),
                (wrong, Turn("tool", "no"), right),
                (wrong, Turn("tool", "no"), wrong),
            )
        ]
        assert worker.respond(episodes) == ["no", None, None, None]
        assert [grade.score for grade in worker.grade(episodes)] == [0.25, 1.0, 1.0, 0.25]
        evaluation = {p.messages for p in worker.prompts("evaluation", 3, 0)}
        assert not evaluation & {p.messages for p in worker.prompts("train", 20, 0)}


TRY_A_FAMILY = """

def _try_family(self, prompt, turns):
    made = _GYM.create_dataset(turns[-1].content, size=2, seed=1)
    return str(min(made.score_answer(item["answer"], item) for item in made))


Gym.respond = _try_family
"""


@pytest.mark.slow
def test_every_listed_family_of_reasoning_gym_runs_and_takes_its_own_answer(tmp_path):
    """On the wheels that a team of one carries, in the worker; needs an index that pip reaches."""
    write_or_skip(tmp_path / "team", gym_starter("chain_sum", {}))
    environment = tmp_path / "team" / "environment.py"
    environment.write_text(environment.read_text() + TRY_A_FAMILY)
    store = open_store()
    bundle = bundle_of(tmp_path / "team", tmp_path / "bundle", lambda d: wheel_in(store, d))
    failed = {}
    with EnvironmentWorker(bundle) as worker:
        for family in sorted(FAMILIES | EXECUTING):
            try:
                (said,) = worker.respond(episodes(family))
            except EnvironmentFailure as error:
                failed[family] = str(error).splitlines()[-1]
            else:
                if float(said) < 0.99:
                    failed[family] = said
        with pytest.raises(EnvironmentFailure, match="NotCarried"):
            worker.respond(episodes("survo"))  # needs numpy
    assert failed == {}
