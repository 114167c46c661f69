"""What each rank runs in ``test_parallel``: the whole loop, with rollouts of its own and states.

``python ranks_play.py FOLDER BASE`` plays and trains alone, under torchrun with as many ranks. A
third argument may hold settings of sampling and loop, a number of prompts, a step that kills it,
and whether ranks are nodes, as JSON.
"""

import itertools
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from lineage.store.store import FolderStore
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy
from tasks.model.log_probs import token_log_probs
from tasks.onpolicy.distributed.ahead import AheadDraws, AheadStage, player_of_run
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.objective import TokenLoss
from tasks.onpolicy.settings import LoopSettings
from tasks.onpolicy.student_files import save_student
from tasks.platform.ranks import joined_ranks, rank
from tasks.platform.resume import States
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.domains import DomainShare, Mixture, make_player
from tasks.rollout.environment import Grade, Message, Prompt
from tasks.rollout.settings import SamplingSettings


class Twice:
    """Answers the first turn with a tool's words, and likes digits in the second."""

    max_turns = 2

    def respond(self, prompt, turns):
        return "12" if int(prompt.id) % 2 and len(turns) == 1 else None

    def grade(self, prompt, turns):
        return Grade(min(1.0, sum(map(str.isdigit, turns[-1].content)) / 4))


class Reward:
    """A policy gradient with the grade as its advantage."""

    sources = ("outcome",)

    def score(self, rollouts):
        return [ScoredRollout(item, outcome_advantage=item.grade.score - 0.3) for item in rollouts]

    def begin_step(self, step, updates):
        pass

    def end_step(self, step):
        return {}

    def prepare(self, batch):
        def losses(student_CV, chunk):
            student_C = token_log_probs(student_CV, batch.tokens.tokens_N[chunk])
            advantages_C = batch.outcome_advantages_N[chunk]
            loss_C = -(student_C - student_C.detach()).exp() * advantages_C
            return TokenLoss({"outcome": loss_C})

        return losses


def main(folder, base, told):
    if told.get("nodes"):  # each rank is a node, whose folders no other rank sees
        os.chdir(folder / f"node-{rank()}")
    policy = load_policy(base)
    sampling = SamplingSettings(max_new_tokens=6, **told.get("sampling", {}))
    loop = {"num_steps": 3, "learning_rate": 3e-3, "warmup_steps": 0} | told.get("loop", {})
    settings = LoopSettings(**loop)
    num_prompts = told.get("prompts", 5)
    pad_id = ChatTokens(policy.tokenizer).pad_id
    learner = Learner(policy.model, settings, sampling.temperature, pad_id, Reward.sources)
    played = []

    class Source:
        def rollouts(self, step):
            played.append(source.rollouts(step))
            return played[-1]

    alone = make_player({"twice": LocalEnvironment(Twice())}, policy, sampling)
    prompts = [Prompt(str(n), (Message("user", f"{n}+{n}="),)) for n in range(num_prompts)]
    share = DomainShare("twice", prompts, prompts_per_step=num_prompts)
    player = player_of_run(alone, policy.model, sampling, settings.staleness)
    mixture = Mixture(player, [share], 1, seed=4)
    ahead = AheadDraws([AheadStage(1, mixture, player)]) if settings.staleness else None
    source = ahead or mixture
    # The first rank's clock says at every look that a state is due; others' stand still.
    clock = itertools.count(0, 10_000).__next__ if rank() == 0 else lambda: 0.0
    store = FolderStore(folder / "store")
    parts = {"learner": learner} | ({"ahead": ahead} if ahead is not None else {})
    states = States(store, "sha256:" + "12" * 32, parts, clock)

    def measure(step, _metrics):
        if step == told.get("die_at"):
            raise SystemExit("killed")

    train(
        learner,
        Reward(),
        Source(),
        LoopCallbacks(measure, lambda _: None),
        LoopObservers(checkpoints=states, ahead=ahead),
    )
    save_student(learner, policy.tokenizer, folder / "student")
    rows = [[asdict(item) for item in step] for step in played]
    (folder / f"rollouts-{rank()}.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    with joined_ranks():
        main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads("".join(sys.argv[3:]) or "{}"))
