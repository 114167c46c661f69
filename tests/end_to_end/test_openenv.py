"""An environment of OpenEnv's interface, with the published package, in a team's worker."""

import pytest

from lineage.store.store import open_store
from lineage.wheels import wheel_in
from tasks.contracts.refusal import RefusedError
from tasks.rollout.client import Episode
from tasks.rollout.environment import Turn
from tasks.rollout.worker.bundle import bundle_of
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.wheels import write_wheel
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


@pytest.mark.slow
def test_an_environment_is_played_again_from_its_seed_at_each_call(tmp_path):
    """Needs an index that pip reaches."""
    links = tmp_path / "links"
    write_wheel(links, "acme_guessing", {"acme_guessing/__init__.py": GUESSING})
    starter = openenv_starter("acme_guessing", "Guessing", ["acme-guessing==1.0"])
    try:
        write_starter(tmp_path / "team", starter, "guess", "acme.guess", links)
    except RefusedError as error:
        if error.code == "unresolved-requirements":
            pytest.skip(f"pip reaches no index: {error}")
        raise
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
