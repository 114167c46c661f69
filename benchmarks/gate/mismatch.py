"""Teachers that do not fit, on purpose: each made from a finished demo's own checkpoints.

Everything goes through the store as a recorded step, so a run that is killed finds what it made.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from pydantic import JsonValue
from transformers import PreTrainedTokenizerFast

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.store.store import open_store
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy, load_policy, save_policy
from tasks.model.settings import ScratchSettings
from tasks.platform.measurements import Measurements
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import (
    make_player,
    open_environment,
    play,
    stored_demonstrations,
    stored_prompts,
)
from tasks.rollout.environment import Demonstration
from tasks.rollout.settings import SamplingSettings
from tasks.sft.scratch import documents, make_model
from tasks.sft.settings import SftSettings
from tasks.sft.train import supervise
from tasks.supervised.training import Watch

Settings = dict[str, JsonValue]
NUM_TRACES = 384
TEACH = SftSettings(num_steps=150, batch_size=32, learning_rate=1e-3)
SHARED = SftSettings(num_steps=500, batch_size=32, learning_rate=5e-3, muon=True)
BASE = SftSettings(num_steps=900, batch_size=16, learning_rate=1e-2, muon=True)
ROW = 64


@dataclass(frozen=True)
class Family:
    """A finished demo: its plan, and what its fork point was made from."""

    runner: StepRunner
    plan: Plan
    base: Artifact
    blend: Sequence[Artifact]

    def teacher(self, domain: str) -> PlannedTeacher:
        """Return the demo's own teacher of a domain."""
        return next(t for t in self.plan.teachers if t.domain == domain)


def family_of(runner: StepRunner, plan: Plan) -> Family:
    """Find by record what the fork point was made from."""
    inputs = runner.records.read(plan.fork_point.record).inputs
    by_role = {"start": list[Artifact](), "data": list[Artifact]()}
    for item in inputs:
        by_role[item.role].append(
            Artifact(kind=item.role, digest=item.artifact, record=item.record, uri=runner.store.uri)
        )
    return Family(runner, plan, by_role["start"][0], by_role["data"])


def changed(
    family: Family,
    teacher: PlannedTeacher,
    what: str,
    level: float,
    change: Callable[[Policy], None],
) -> Artifact:
    """Return a teacher's checkpoint after ``change``."""
    return stored_step(
        family,
        (teacher.checkpoint,),
        {"mismatch": what, "level": level, "domain": teacher.domain},
        lambda folder: saved(folder, _after(family, teacher.checkpoint, change)),
    )


def noisy(family: Family, teacher: PlannedTeacher, level: float) -> Artifact:
    """Add noise of ``level`` times each matrix's own deviation."""

    @torch.no_grad()
    def change(policy: Policy) -> None:
        generator = torch.Generator().manual_seed(1)
        for parameter in policy.model.parameters():
            if parameter.dim() > 1:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(level * parameter.std() * noise)

    return changed(family, teacher, "noise", level, change)


def other_template(family: Family, teacher: PlannedTeacher) -> Artifact:
    """Exchange the control tokens' rows: what training with another template comes to.

    A model trained with roles opened by other control tokens has the same weights but for the rows
    of these tokens, which are exchanged.
    """

    @torch.no_grad()
    def change(policy: Policy) -> None:
        ids = [
            i
            for i in ChatTokens(policy.tokenizer).control_ids
            if i != policy.tokenizer.pad_token_id
        ]
        rolled = ids[1:] + ids[:1]
        tables = {
            policy.model.get_input_embeddings().weight,
            policy.model.get_output_embeddings().weight,
        }
        for table in tables:
            table[ids] = table[rolled].clone()

    return changed(family, teacher, "template", 1.0, change)


def uniform(family: Family, teacher: PlannedTeacher) -> Artifact:
    """Lose the weights, as a failed wake from sleep does: every word is as likely."""

    @torch.no_grad()
    def change(policy: Policy) -> None:
        for parameter in policy.model.get_output_embeddings().parameters():
            parameter.mul_(1e-6)

    return changed(family, teacher, "uniform", 1.0, change)


def over_trained(family: Family, teacher: PlannedTeacher, steps: int) -> Artifact:
    """Go on, supervised and fast, on a handful of the teacher's own answers."""

    def change(policy: Policy) -> None:
        rows = rows_of(traces_of(family, teacher)[:24])
        settings = SftSettings(num_steps=steps, batch_size=16, learning_rate=2e-3)
        train(policy, rows, settings, 3)

    return changed(family, teacher, "over-trained", float(steps), change)


def supervised(family: Family, start: Artifact, teacher: PlannedTeacher, what: str) -> Artifact:
    """Bring ``start`` by supervision alone to the teacher's behavior: an SFT teacher."""

    def make(folder: Path) -> Path:
        policy = load_policy(family.runner.store.tree(start.digest))
        train(policy, rows_of(traces_of(family, teacher)), TEACH, 5)
        return saved(folder, policy)

    sft = TEACH.model_dump(mode="json")
    settings: Settings = {"mismatch": what, "domain": teacher.domain, "sft": sft}
    return stored_step(family, (start, teacher.checkpoint), settings, make)


def sibling_fork(family: Family, share: float) -> Artifact:
    """Make another fork point from the same base: other seed, and ``share`` of other data.

    The other data are the teams' own demonstrations, whose conventions are mixed otherwise.
    """

    def make(folder: Path) -> Path:
        runner, rng = family.runner, random.Random(f"sibling {share}")
        policy = load_policy(runner.store.tree(family.base.digest))
        blend = [d for item in family.blend for d in stored_demonstrations(runner.store, item)]
        others = [
            d for item in _own_data(family) for d in stored_demonstrations(runner.store, item)
        ]
        size = SHARED.num_steps * SHARED.batch_size // 2
        count = round(share * size)
        chosen = rng.sample(blend, size - count) + rng.choices(others, k=count)
        rng.shuffle(chosen)
        train(policy, [_tokens(policy, d) for d in chosen], SHARED, 17 + round(100 * share))
        return saved(folder, policy)

    sft = SHARED.model_dump(mode="json")
    settings: Settings = {"mismatch": "sibling", "share": share, "sft": sft}
    return stored_step(family, (family.base,), settings, make)


def foreign_fork(family: Family) -> Artifact:
    """Make a base from another seed with the same tokenizer, and a fork point from it."""

    def make(folder: Path) -> Path:
        runner = family.runner
        known = load_policy(runner.store.tree(family.base.digest)).tokenizer
        assert isinstance(known, PreTrainedTokenizerFast)
        policy = Policy(make_model(known, ScratchSettings(), 4242), known)
        ids = [
            token
            for text in documents(30_000, 4242)
            for token in (*known.encode(text, add_special_tokens=False), known.pad_token_id)
        ]
        rows = [
            Tokens(tuple(ids[first : first + ROW]), (True,) * ROW)
            for first in range(0, len(ids) - ROW + 1, ROW)
        ]
        train(policy, rows, BASE, 4242)
        blend = [d for item in family.blend for d in stored_demonstrations(runner.store, item)]
        chosen = random.Random(4242).sample(blend, SHARED.num_steps * SHARED.batch_size // 2)
        train(policy, [_tokens(policy, d) for d in chosen], SHARED, 4242)
        return saved(folder, policy)

    settings: Settings = {"mismatch": "foreign", "base": BASE.model_dump(mode="json")}
    return stored_step(family, (family.base,), settings, make)


def _own_data(family: Family) -> list[Artifact]:
    """Return the teams' own demonstrations, by record of their supervised checkpoints."""
    found = []
    for teacher in family.plan.teachers:
        climb = family.runner.records.read(teacher.checkpoint.record)
        start = next(item for item in climb.inputs if item.role == "start")
        for item in family.runner.records.read(start.record).inputs:
            if item.role == "data":
                found.append(Artifact(kind="data", digest=item.artifact, record=item.record))
    return found


def traces_of(family: Family, teacher: PlannedTeacher) -> list[Rollout]:
    """Return a teacher's well graded answers to training prompts; all where few are."""
    return _traces(
        family.runner.store.uri,
        teacher.checkpoint,
        teacher.train,
        teacher.environment,
        teacher.domain,
    )


@lru_cache(maxsize=4)
def _traces(
    uri: str, checkpoint: Artifact, train: Artifact, environment: Artifact, domain: str
) -> list[Rollout]:
    store = open_store(uri)
    policy = load_policy(store.tree(checkpoint.digest))
    prompts = stored_prompts(store, train)[:NUM_TRACES]
    with open_environment(store, environment, domain, allow_unconfined=False) as worker:
        player = make_player({domain: worker}, policy, SamplingSettings())
        rollouts = play(player, domain, prompts, 11)
    well = [rollout for rollout in rollouts if rollout.grade.score > 0.5]
    return well if len(well) >= 32 else rollouts


def rows_of(rollouts: Sequence[Rollout]) -> list[Tokens]:
    """Return answers as they were written, to learn from."""
    return [Tokens(rollout.ids, rollout.is_response) for rollout in rollouts]


def _tokens(policy: Policy, example: Demonstration) -> Tokens:
    chat = ChatTokens(policy.tokenizer)
    messages = [vars(message) for message in example.messages]
    return chat.demonstration(messages, [(t.role, t.content) for t in example.turns], example.mode)


def train(policy: Policy, rows: Sequence[Tokens], settings: SftSettings, seed: int) -> None:
    """Train a policy in place, and say nothing."""
    scratch = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path()
    watch = Watch(lambda _step, _metrics: None)
    supervise(policy, rows, settings, seed, scratch / "gate-trainer", watch)


def _after(family: Family, checkpoint: Artifact, change: Callable[[Policy], None]) -> Policy:
    policy = load_policy(family.runner.store.tree(checkpoint.digest))
    change(policy)
    return policy


def saved(folder: Path, policy: Policy) -> Path:
    """Put a policy away in a step's folder."""
    return save_policy(policy, folder / "model")


def stored_step(
    family: Family,
    inputs: Sequence[Artifact],
    settings: Settings,
    make: Callable[[Path], Path],
) -> Artifact:
    """Return what a recorded step makes; found, or else made."""
    derivation = Derivation(
        project=family.runner.project,
        kind="mismatch",
        inputs=tuple(Input.of(f"from {place}", item) for place, item in enumerate(inputs)),
        source="benchmark",
        settings=settings,
        seed=0,
    )

    def filled(folder: Path, _measurements: Measurements) -> Path:
        return make(folder)

    return family.runner.find_or_make(derivation, "checkpoint", filled, owner="benchmark")
