"""What sampling one step ahead gains on two ranks, against waiting for the servers.

Two gloo ranks train the demo's model, and two stand-in servers sample for them. A server takes so
many seconds for each token of an answer, whatever else it answers, as one on another machine whose
computation costs this one nothing. Both ways take turns in the same processes. Wall time is
measured, because the wait is what overlaps: a step takes sampling plus training, or ideally the
longer of both.

    python -m benchmarks.step.ahead
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from benchmarks.common.circumstances import write_result
from benchmarks.common.statistics import spread
from benchmarks.step.case import NEVER, Case, Graded, Scene
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.distributed.ahead import AheadDraws, AheadPlayer, AheadStage, player_of_run
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.ranks import joined_ranks, rank
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.collect import Player, Rollout
from tasks.rollout.domains import DomainShare, Mixture
from tasks.rollout.environment import Message, Prompt
from tasks.rollout.sampling.vllm.sampler import VllmSampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings, VllmServer
from tests.support.vllm_stand_in import NAME, StandIn, serving

NUM_RANKS = 2
TOKEN_SECONDS = (0.03, 0.1)
"""Seconds for each token of an answer."""
ROUNDS = 3
STEPS = 5
"""Number of steps of each way in a round. The first fills the pipeline, and the last begins no
further step, so neither counts."""
CASE = Case(rollouts=16, new_tokens=512)
PROMPT_CHARACTERS, NEW_TOKENS = 400, 32
"""Long prompts and short answers: the stand-in servers compute on the cores that train, so they
must compute little."""


def main() -> None:
    """Measure seconds of a step by server and way, and how many times shorter it is ahead."""
    rows = [_at(seconds) for seconds in TOKEN_SECONDS]
    write_result(
        "step_ahead",
        "cpu",
        {"case": asdict(CASE) | {"new_tokens": NEW_TOKENS}, "ranks": NUM_RANKS, "servers": rows},
    )


def _at(token_seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        scene = Scene(CASE)
        servers = [_Distant(scene.student(), token_seconds) for _ in range(NUM_RANKS)]
        urls = [stack.enter_context(serving(server)) for server in servers]
        launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={NUM_RANKS}")
        program = ("-m", "benchmarks.step.ahead", folder, *urls)
        subprocess.run([sys.executable, *launcher, *program], check=True, timeout=900)
        rounds = json.loads(Path(folder, "rounds.json").read_text("utf-8"))
    ratios = [one["waiting"]["step"] / one["ahead"]["step"] for one in rounds]
    found: dict[str, Any] = {"token_seconds": token_seconds, "times_shorter": spread(ratios)}
    for way in ("waiting", "ahead"):
        named = [one[way] for one in rounds]
        found[way] = {part: spread([row[part] for row in named]) for part in named[0]}
    return found


class _Distant(StandIn):
    """A server that takes its time for each token."""

    def __init__(self, model: PreTrainedModel, token_seconds: float) -> None:
        """Answer with this model, which gets the weights that are sent."""
        super().__init__(model=model, longest=CASE.new_tokens)
        self._token_seconds = token_seconds

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, object]:
        """Return status and answer of a request."""
        time.sleep(self._token_seconds * body.get("max_tokens", 0))
        return super().answer(path, body)


@dataclass
class _Clocked:
    """A source of rollouts, and how long the loop waited for each step's."""

    draws: Mixture | AheadDraws
    waited: list[float]

    def rollouts(self, step: int) -> list[Rollout]:
        """Return the rollouts of a step."""
        begun = time.perf_counter()
        played = self.draws.rollouts(step)
        self.waited.append(time.perf_counter() - begun)
        return played


def _prompts(scene: Scene, domain: str) -> list[Prompt]:
    return [
        Prompt(
            prompt.id, (Message("user", (prompt.messages[0].content * 400)[:PROMPT_CHARACTERS]),)
        )
        for prompt in scene.prompts(domain)
    ]


def _round(scene: Scene, sampling: SamplingSettings, staleness: int) -> dict[str, float]:
    """Return the mean seconds of a step, and of its wait for rollouts."""
    case, student = scene.case, scene.student()
    settings = LoopSettings(num_steps=STEPS, learning_rate=1e-4, staleness=staleness)
    teachers = {domain: scene.teacher(place) for place, domain in enumerate(case.domains)}
    objective = Distillation(
        Routing(Route(domain, domain) for domain in case.domains),
        ResidentTeachers(teachers, 1.0),
        DistilSettings(),
        settings,
        scene.chat.control_ids,
    )
    learner = Learner(student, settings, 1.0, scene.chat.pad_id, objective.sources)
    alone = Player(
        {domain: LocalEnvironment(Graded()) for domain in case.domains},
        VllmSampler(student, NEVER, sampling),
        scene.chat,
        sampling,
    )
    player = player_of_run(alone, student, sampling, staleness)
    shares = [
        DomainShare(domain, _prompts(scene, domain), case.rollouts) for domain in case.domains
    ]
    mixture = Mixture(player, shares, 1, case.seed)
    ahead = None
    if isinstance(player, AheadPlayer):
        ahead = AheadDraws([AheadStage(1, mixture, player)])
    ends: list[float] = []

    def end(_step: int, _metrics: Mapping[str, float]) -> None:
        ends.append(time.perf_counter())

    source = _Clocked(ahead or mixture, [])
    callbacks = LoopCallbacks(end, lambda _: None)
    train(learner, objective, source, callbacks, LoopObservers(ahead=ahead))
    counted = STEPS - 2
    return {"step": (ends[-2] - ends[0]) / counted, "wait": sum(source.waited[1:-1]) / counted}


def _main_of_a_rank(folder: Path, urls: list[str]) -> None:
    """Run both ways in turn, in this order and then in the other."""
    scene = Scene(CASE)
    url, *others = urls
    server = VllmServer(
        url=url, other_urls=others, served_model=NAME, weights_folder=str(folder / "weights")
    )
    sampling = SamplingSettings(max_new_tokens=NEW_TOKENS, engine=SamplingEngine.VLLM, vllm=server)
    ways = {"waiting": 0, "ahead": 1}
    rounds = []
    for number in range(ROUNDS):
        order = list(ways) if number % 2 == 0 else list(reversed(ways))
        rounds.append({way: _round(scene, sampling, ways[way]) for way in order})
    if rank() == 0:
        (folder / "rounds.json").write_text(json.dumps(rounds), "utf-8")


if __name__ == "__main__":
    if sys.argv[1:]:
        with joined_ranks():
            _main_of_a_rank(Path(sys.argv[1]), sys.argv[2:])
    else:
        main()
