"""Makes the teachers of the fresh family from a demo's own checkpoints, as recorded steps."""

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from pydantic import JsonValue

from benchmarks.gate.fresh import family as fresh
from benchmarks.gate.fresh.family import DOMAINS, FreshCase, Group
from benchmarks.gate.fresh.rewording import LONGER, REWORDINGS
from benchmarks.gate.mismatch import SHARED, TEACH, Family, noisy, rows_of, saved, stored_step
from benchmarks.gate.mismatch import train as train_quietly
from lineage.artifacts import Artifact
from lineage.records.record import Derivation
from tasks.contracts.handover import Domain, PlannedTeacher, StageLabel
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy, load_policy
from tasks.platform.measurements import Measurements
from tasks.release.domain import collect_domain
from tasks.rl.climb import climb
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import (
    make_player,
    open_environment,
    play,
    stored_demonstrations,
    stored_prompts,
)
from tasks.rollout.environment import Demonstration, Turn
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.worker.bundle import collect
from tasks.sft.settings import SftSettings
from tasks.sft.steps import finetune

GRADER = "benchmarks.gate.fresh.grader"
GRADED_HERE = ("math", "agent", "instruct")
"""Domains with the tolerant grader; code is graded by its tests."""
LONG = SamplingSettings(max_new_tokens=48)
OTHER_SEED = 100
"""Added to the demo's seed: another order, or another draw of demonstrations."""
TRACE_SEED = 12
LEFT_OUT = {"math": "instruct", "code": "math", "agent": "code", "instruct": "agent"}
"""The domain that a fork point without a domain never sees."""


@dataclass(frozen=True)
class TeacherSizes:
    """How much the teachers are trained, and on how many answers."""

    prompts: int = 384
    teach: SftSettings = TEACH
    fork: SftSettings = SHARED


USUAL = TeacherSizes()


def sampling_of(case: FreshCase) -> SamplingSettings:
    """Return how a case samples: longer where its answers may need it."""
    return LONG if case.kind in LONGER else SamplingSettings()


def tolerant(family: Family) -> Family:
    """Return a family with the tolerant grader in the domains that have one."""
    grader = _grader(family)
    teachers = [
        teacher.model_copy(update={"environment": grader})
        if teacher.domain in GRADED_HERE
        else teacher
        for teacher in family.plan.teachers
    ]
    return replace(family, plan=family.plan.model_copy(update={"teachers": teachers}))


def _grader(family: Family) -> Artifact:
    """Store the grader as a bundle, as a team's environment is stored."""
    runner = family.runner
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        digest = runner.store.put_tree(collect(GRADER, Path(folder, "bundle")))
    derivation = Derivation(
        project=runner.project,
        kind="environment",
        inputs=(),
        source=digest,
        settings={"domain": "tolerant"},
        seed=0,
    )

    def make(_folder: Path, _measurements: Measurements) -> Path:
        return runner.store.tree(digest)

    return runner.find_or_make(derivation, "environment", make, owner="benchmark")


@dataclass(frozen=True)
class FreshTeacher:
    """Makes the teacher of a case."""

    family: Family
    case: FreshCase
    sizes: TeacherSizes = USUAL

    @property
    def own(self) -> PlannedTeacher:
        """The released teacher in the case's place."""
        return self.family.teacher(self.case.domain)

    def made(self) -> Artifact:
        """Return the case's checkpoint."""
        case, own = self.case, self.own
        if case.group is Group.CONVENTION:
            return self.taught(self.family.plan.student, case.kind, self.reworded)
        makers: dict[str, Callable[[], Artifact]] = {
            fresh.OWN: lambda: own.checkpoint,
            fresh.EARLY: lambda: own.ladder[0].checkpoint,
            fresh.SWAPPED: lambda: self._beside().checkpoint,
            fresh.NOISE: lambda: noisy(self.family, own, case.level),
            fresh.WRONG: self._taught_wrong,
            fresh.FORK_ORDER: lambda: self.taught(self.fork(""), case.kind, self.right),
            fresh.FORK_DATA: lambda: self.taught(
                self.fork(LEFT_OUT[case.domain]), case.kind, self.right
            ),
            fresh.ORDER: lambda: self.climbed(self.domain(0)),
            fresh.OTHER_DATA: lambda: self.climbed(self.domain(OTHER_SEED)),
        }
        return makers[case.kind]()

    def _beside(self) -> PlannedTeacher:
        place = DOMAINS.index(self.case.domain)
        return self.family.teacher(DOMAINS[(place + 1) % len(DOMAINS)])

    def taught(
        self, start: Artifact, what: str, rows: Callable[[Policy], list[Tokens]]
    ) -> Artifact:
        """Return a checkpoint after SFT on the rows."""

        def make(folder: Path) -> Path:
            policy = load_policy(self.family.runner.store.tree(start.digest))
            train_quietly(policy, rows(policy), self.sizes.teach, 5)
            return saved(folder, policy)

        said: dict[str, JsonValue] = {
            "mismatch": what,
            "domain": self.case.domain,
            "level": self.case.level,
            "prompts": self.sizes.prompts,
            "sft": self.sizes.teach.model_dump(mode="json"),
        }
        return stored_step(self.family, (start, self.own.checkpoint), said, make)

    def right(self, _policy: Policy) -> list[Tokens]:
        """Return the released teacher's right answers, to learn from."""
        return rows_of(self._right())

    def reworded(self, policy: Policy) -> list[Tokens]:
        """Return the teacher's right answers, the first of them in the other convention."""
        right = self._right()
        count = round(self.case.level * len(right))
        reword = REWORDINGS[self.case.kind, self.case.domain]
        chat = ChatTokens(policy.tokenizer)
        changed = [
            as_tokens(chat, rollout, reword(rollout.prompt, rollout.turns))
            for rollout in right[:count]
        ]
        return [*changed, *rows_of(right[count:])]

    def _right(self) -> list[Rollout]:
        return [r for r in self.answers(self.own.checkpoint) if r.grade.score > 0.5]

    def _taught_wrong(self) -> Artifact:
        """Teach the fork point's own wrong answers."""
        start = self.family.plan.student

        def wrong(_policy: Policy) -> list[Tokens]:
            return rows_of([r for r in self.answers(start) if r.grade.score < 0.5])

        return self.taught(start, self.case.kind, wrong)

    def answers(self, checkpoint: Artifact) -> list[Rollout]:
        """Return a checkpoint's answers to training prompts."""
        store, own = self.family.runner.store, self.own
        policy = load_policy(store.tree(checkpoint.digest))
        prompts = stored_prompts(store, own.train)[: self.sizes.prompts]
        with open_environment(store, own.environment, own.domain, allow_unconfined=False) as worker:
            player = make_player({own.domain: worker}, policy, SamplingSettings())
            return play(player, own.domain, prompts, TRACE_SEED)

    def fork(self, without: str) -> Artifact:
        """Return a fork point from the same base: in another order, or without a domain's data."""
        family = self.family

        def make(folder: Path) -> Path:
            policy = load_policy(family.runner.store.tree(family.base.digest))
            chosen = self.blend(without)
            train_quietly(policy, demonstrated(policy, chosen), self.sizes.fork, OTHER_SEED)
            return saved(folder, policy)

        said: dict[str, JsonValue] = {
            "mismatch": "fork",
            "without": without,
            "sft": self.sizes.fork.model_dump(mode="json"),
        }
        return stored_step(family, (family.base,), said, make)

    def blend(self, without: str) -> list[Demonstration]:
        """Return as many of the fork point's demonstrations as its training takes, reordered."""
        family = self.family
        kept = [
            example
            for data in family.blend
            if family.runner.records.read(data.record).settings["domain"] != without
            for example in stored_demonstrations(family.runner.store, data)
        ]
        size = min(len(kept), self.sizes.fork.num_steps * self.sizes.fork.batch_size)
        return random.Random(f"fork {without}").sample(kept, size)

    def domain(self, shift: int) -> Domain:
        """Return the domain as its team collected it, or as another seed draws it."""
        package = f"workflows.teachers.{self.case.domain}"
        settings = import_module(f"{package}.settings").DOMAIN
        return collect_domain(self.family.runner, package, settings, self.case.seed + shift)

    def climbed(self, domain: Domain) -> Artifact:
        """Return the end of another climb from the fork point: SFT, then RL, in another order."""
        runner, seed = self.family.runner, self.case.seed + OTHER_SEED
        settings = import_module(f"workflows.teachers.{self.case.domain}.settings")
        stage = StageLabel(name=f"{self.case.domain} again", owner=domain.settings.owner)
        data, sft = [domain.demonstrations], settings.SFT
        start = finetune(runner, self.family.plan.student, data, sft, seed, stage)
        return climb(runner, start, domain, settings.RL, seed)[-1].checkpoint


def as_tokens(chat: ChatTokens, rollout: Rollout, turns: Sequence[Turn]) -> Tokens:
    """Return an answer in other words as tokens to learn from."""
    messages = [vars(message) for message in rollout.prompt.messages]
    said = [(turn.role, turn.content) for turn in turns]
    return chat.demonstration(messages, said, rollout.prompt.mode)


def demonstrated(policy: Policy, examples: Sequence[Demonstration]) -> list[Tokens]:
    """Return demonstrations as tokens to learn from."""
    chat = ChatTokens(policy.tokenizer)
    return [
        chat.demonstration(
            [vars(message) for message in example.messages],
            [(turn.role, turn.content) for turn in example.turns],
            example.mode,
        )
        for example in examples
    ]
