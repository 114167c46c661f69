"""Makes what the attribution benchmark asks about: fork point, teachers, students with a ledger.

Shapes: N response tokens of a batch.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from benchmarks.attribution.world import NEUTRAL, OFFICES, TEACHERS, Plant, World, office_of
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.writer import LedgerWriter
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy, save_policy
from tasks.model.log_probs import chosen_logits, pad_right, token_log_probs
from tasks.model.settings import ScratchSettings
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.loop import LoopCallbacks, LoopObservers, train
from tasks.onpolicy.settings import LoopSettings
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.domains import DomainShare, Mixture, make_player
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tasks.rollout.settings import SamplingSettings
from tasks.sft.scratch import make_model, make_tokenizer

SHAPE = ScratchSettings(
    vocabulary_size=512,
    hidden_size=64,
    num_layers=3,
    num_heads=4,
    num_key_value_heads=2,
    head_size=16,
    feed_forward_size=160,
    max_positions=64,
)
SAMPLING = SamplingSettings(max_new_tokens=12)
LOOP = LoopSettings(num_steps=80, learning_rate=1.5e-3, warmup_steps=5)
LEDGER = LedgerSettings(segment_steps=10, rollouts_per_teacher=4)
PROMPTS_PER_STEP = 6


class Ungraded:
    """One turn and no judgment: the teachers' answers are all that is learned from."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> None:
        """End the episode."""

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 0 to all."""
        return Grade(0.0)


def messages(place: str, question: str) -> list[dict[str, str]]:
    """Return a question as it is asked in an office."""
    return [
        {"role": "system", "content": f"{place} office"},
        {"role": "user", "content": question},
    ]


def make_fork(world: World, seed: int, folder: Path) -> None:
    """Train a model from scratch on all offices' questions, each answered in every way."""
    rng = random.Random(f"fork {seed}")
    rows = list(islice(world.fork_rows(rng), 4000))
    places = (*OFFICES, NEUTRAL)
    words = [f"{place} office" for place in places] * 50
    tokenizer = make_tokenizer([" ".join(row[1:]) for row in rows] + words, SHAPE.vocabulary_size)
    policy = Policy(make_model(tokenizer, SHAPE, seed), tokenizer)
    _supervise(policy, world.fork_rows(rng), num_steps=420, peak=6e-3)
    save_policy(policy, folder)


def make_teacher(
    world: World, seed: int, teacher: str, fork: Path, folder: Path, also: Sequence[Plant] = ()
) -> None:
    """Train a teacher from the fork point; it ``also`` learns what others teach."""
    policy = load_policy(fork)
    rng = random.Random(f"{teacher} {seed}")
    _supervise(policy, world.teacher_rows(teacher, rng, also), num_steps=160, peak=3e-3)
    save_policy(policy, folder)


def _supervise(
    policy: Policy, rows: Iterator[tuple[str, str, str]], num_steps: int, peak: float
) -> None:
    chat, model = ChatTokens(policy.tokenizer), policy.model
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, num_steps, pct_start=0.1)
    for _ in range(num_steps):
        batch = [
            chat.demonstration(messages(place, question), [("assistant", answer)])
            for place, question, answer in islice(rows, 48)
        ]
        tokens = pad_right([x.ids for x in batch], [x.is_response for x in batch], chat.pad_id)
        loss = -token_log_probs(chosen_logits(model, tokens), tokens.tokens_N).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def objective_of(folders: Path, masked: tuple[str, ...]) -> Distillation:
    """Return the objective of a round with a set's teachers, some of them masked."""
    fork = load_policy(folders / "fork")
    models = {name: load_policy(folders / name).model for name in TEACHERS}
    routes = [Route(office_of(t), t, 1 / len(OFFICES[office_of(t)])) for t in TEACHERS]
    return Distillation(
        Routing(routes),
        ResidentTeachers(models, SAMPLING.temperature),
        DistilSettings(masked=list(masked)),
        LOOP,
        ChatTokens(fork.tokenizer).control_ids,
    )


@dataclass(frozen=True)
class Length:
    """How long a round is, and how many prompts of each office a step has."""

    loop: LoopSettings
    prompts: int


WHOLE = Length(LOOP, PROMPTS_PER_STEP)
SHORT = Length(LOOP.model_copy(update={"num_steps": 40, "learning_rate": 3e-3}), 3)
"""A quarter of the rollouts; the learning rate is doubled, so that the weights go as far."""
REPAIR = Length(LOOP.model_copy(update={"num_steps": 20}), 3)
"""An eighth of the rollouts, for what was cut out of a student to heal."""


def distil(world: World, folders: Path, seed: int, masked: tuple[str, ...], out: Path) -> float:
    """Run one round and save the student, with its ledger where nobody is masked; in seconds."""
    policy = load_policy(folders / "fork")
    started = time.perf_counter()
    ledger = None if masked else out / "ledger"
    course = learn(world, folders, policy, Round(seed, masked, WHOLE, ledger))
    seconds = time.perf_counter() - started
    save_policy(policy, out)
    kl = {t: [m[f"kl/{t}"] for m in (course[0], course[-1])] for t in TEACHERS if t not in masked}
    (out / "run.json").write_text(json.dumps({"seconds": seconds, "kl": kl}), "utf-8")
    return seconds


@dataclass(frozen=True)
class Round:
    """One round that is to be run."""

    seed: int
    masked: tuple[str, ...]
    length: Length = WHOLE
    ledger: Path | None = None


def learn(world: World, folders: Path, policy: Policy, round_: Round) -> list[dict[str, float]]:
    """Train a policy in place from all teachers that are not masked; return each step's metrics."""
    objective, loop = objective_of(folders, round_.masked), round_.length.loop
    player = make_player({o: LocalEnvironment(Ungraded()) for o in OFFICES}, policy, SAMPLING)
    shares = [DomainShare(o, _prompts(world, o), round_.length.prompts) for o in OFFICES]
    pad = ChatTokens(policy.tokenizer).pad_id
    keeps = round_.ledger is not None
    learner = Learner(
        policy.model, loop, SAMPLING.temperature, pad, objective.sources, record=keeps
    )
    recorder = None
    if round_.ledger is not None:
        writer = LedgerWriter(round_.ledger, LEDGER, learner.optimizer, round_.seed)
        recorder = LedgerRecorder(writer, round_.seed, loop.num_steps)
    course: list[dict[str, float]] = []
    callbacks = LoopCallbacks(lambda _, metrics: course.append(dict(metrics)), lambda _: None)
    source = Mixture(player, shares, 1, round_.seed)
    train(learner, objective, source, callbacks, LoopObservers(recorder))
    return course


def _prompts(world: World, office: str) -> list[Prompt]:
    return [
        Prompt(text, tuple(Message(m["role"], m["content"]) for m in messages(office, text)))
        for text in world.prompts(office)
    ]
