"""Which engine samples a climb of the proof faster on two cores: transformers, or a vLLM server?

Each samples 32 turns of at most 48 tokens for four training prompts of each team, by the team's
supervised checkpoint in bf16: transformers first, then vLLM run eagerly and with compiled kernels.
Before each round the weights change, as they do behind each update of a climb, so the server gets
them anew. An engine has one thread; the trainer waits while the server samples. The first round of
each is not counted. It needs an otherwise idle machine, since the engines do not take turns.

    python -m benchmarks.real.engines --home runs/real --vllm .engines/vllm
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.common.circumstances import write_result
from benchmarks.real.settings import LONGEST, RL, TEAMS
from lineage.artifacts import Release, read_manifest
from lineage.registry.registry import Registry
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts
from tasks.rollout.environment import Prompt
from tasks.rollout.sampling.engine import make_sampler
from tasks.rollout.settings import SamplingEngine, SamplingSettings
from tests.support.vllm_environment import program
from tests.support.vllm_server import VllmProcess

ROUNDS = 5
SEED = 0
_MANY = ("--max-model-len", "512", "--max-num-seqs", "32", "--dtype", "bfloat16")
SERVERS: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "vllm, eager": (_MANY, {}),
    "vllm, compiled": ((*_MANY, "--no-enforce-eager"), {"TORCHDYNAMO_DISABLE": "0"}),
}
"""Further arguments and variables of a server."""


def main() -> None:
    """Measure all teams with all engines, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--home", type=Path, default=Path("runs/real"))
    parser.add_argument("--vllm", type=Path, default=Path(".engines/vllm"))
    given = parser.parse_args()
    os.environ["PROVOST_HOME"] = str(given.home.resolve())
    torch.set_num_threads(1)
    served = program(given.vllm.resolve())
    if served is None:
        parser.error(f"there is no vLLM in {given.vllm}: make test-engines installs it")
    write_result("real_engines", "cpu", {"seed": SEED, "teams": measured(served)})


def measured(served: Path) -> dict[str, Any]:
    """Return the seconds and tokens of each round, by team and engine."""
    runner = StepRunner()
    found: dict[str, Any] = {}
    for team in TEAMS:
        entry = Registry(runner.store).resolve(f"teacher.{team}@latest")
        release = read_manifest(runner.store, entry.digest, Release)
        folder = runner.store.tree(release.precursor.digest)
        scene = _Scene(folder, stored_prompts(runner.store, release.prompts.train))
        found[team] = {
            "context_tokens": sum(map(len, scene.contexts)) // len(scene.contexts),
            "transformers": scene.rounds(SamplingSettings(max_new_tokens=LONGEST)),
            **{name: scene.served_rounds(served, name) for name in SERVERS},
        }
    return found


class _Scene:
    """A team's supervised checkpoint, and the contexts of a step."""

    def __init__(self, folder: Path, prompts: Sequence[Prompt]) -> None:
        self._folder, self._policy = folder, load_policy(folder)
        self._policy.model.bfloat16()
        self._chat = ChatTokens(self._policy.tokenizer)
        self.contexts = [
            self._chat.prompt([vars(message) for message in prompt.messages], prompt.mode)
            for prompt in prompts[: RL.prompts_per_step]
            for _ in range(RL.rollouts_per_prompt)
        ]

    def served_rounds(self, served: Path, name: str) -> dict[str, Any]:
        """Return the rounds of a vLLM server, and the seconds until it was there."""
        words, variables = SERVERS[name]
        with tempfile.TemporaryDirectory() as scratch:
            server = VllmProcess(
                served, self._folder, Path(scratch), arguments=words, variables=variables
            )
            with server:
                settings = SamplingSettings(
                    max_new_tokens=LONGEST,
                    engine=SamplingEngine.VLLM,
                    vllm=server.settings(Path(scratch, "weights")),
                )
                return {**self.rounds(settings), "start_seconds": round(server.seconds, 1)}

    def rounds(self, settings: SamplingSettings) -> dict[str, Any]:
        """Return the seconds on the clock of each round behind the first, and its tokens."""
        sampler = make_sampler(self._policy, self._chat, settings)
        generator = torch.Generator().manual_seed(SEED)
        seconds, tokens = [], []
        for _ in range(ROUNDS + 1):
            with torch.no_grad():  # a change, as behind an update
                [*self._policy.model.parameters()][-1].mul_(1 + 2**-7)
            noise = torch.rand(len(self.contexts), LONGEST, generator=generator)
            begin = time.perf_counter()
            turns = sampler.sample(self.contexts, noise)
            seconds.append(round(time.perf_counter() - begin, 3))
            tokens.append(sum(len(turn.ids) for turn in turns))
        return {"seconds": seconds[1:], "tokens": tokens[1:]}


if __name__ == "__main__":
    main()
