"""The gate by measurement: a few hundred rollouts of the student, and one pass of each teacher.

Teachers are loaded one after the other. Only the declared ancestry comes from the records, and it
is checked against the weights, so the measurement is independent of the records.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from lineage.artifacts import Artifact
from lineage.store.store import Store
from tasks.contracts.refusal import RefusedError
from tasks.gate.measured import (
    LEAST_ROLLOUTS,
    ProbeResult,
    ProbeSettings,
    RungReading,
    Scores,
    SwapRow,
    TeacherMeasure,
    TeacherReading,
    explained,
    paired,
)
from tasks.gate.reading import StudentStates, log_likelihoods, read
from tasks.model.ancestry import CheckpointTensors, ancestry, displacements
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.model.identity import tokenizer_differences
from tasks.model.relation import Ancestry
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.teacher_prompts import TeacherPrompts
from tasks.platform.progress import report
from tasks.platform.ranks import rank_device
from tasks.rollout.client import EnvironmentClient
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import make_player, open_environments, play
from tasks.rollout.environment import Prompt

WELL_GRADED = 0.5
"""Grade above which a rollout counts as a correct answer in the swap test."""


@dataclass(frozen=True)
class ProbedTeacher:
    """A teacher to be measured, with everything that the measurement needs."""

    name: str
    domain: str
    folder: Path
    prompts: Sequence[Prompt]
    environment: Artifact
    system_prompt: str = ""
    """System prompt that the teacher alone reads before the prompts of its domain."""
    parent: CheckpointTensors | None = None
    """The declared parent; ``grandparent`` is what the parent was trained from."""
    grandparent: Path | None = None
    siblings: tuple[CheckpointTensors, ...] = ()
    """Other checkpoints trained from the grandparent, which might be the parent instead."""
    fork_point: CheckpointTensors | None = None
    """The declared fork point of the parent: the grandparent under its name."""
    base: Path | None = None
    """The checkpoint that the fork point was trained from, by its record."""
    other_forks: tuple[CheckpointTensors, ...] = ()
    """Other fork points that the parent might come from instead."""
    rungs: tuple[tuple[int, Path], ...] = ()
    """Step and folder of the earlier rungs to be measured."""


@dataclass(frozen=True)
class _TeacherProbe:
    """The results of one pass of a teacher."""

    reading: TeacherReading
    scores: Scores
    well: Mapping[str, list[tuple[float, int]]]
    """Log-likelihoods of the student's well-graded rollouts, by domain."""
    ladder: tuple[RungReading, ...]


def measure(
    store: Store,
    start: Path,
    subjects: Sequence[ProbedTeacher],
    settings: ProbeSettings,
) -> ProbeResult:
    """Measure every teacher against the student in the folder ``start``.

    Raises:
        ValueError: for a domain without prompts, or a teacher with another vocabulary.
    """
    _refuse_empty(subjects)
    began = time.monotonic()
    student = _load(start)
    allowed = settings.sampling.allow_unconfined
    of_domains = {subject.domain: subject.environment for subject in subjects}
    with open_environments(store, of_domains, allow_unconfined=allowed) as environments:
        probe = _Probe(student, environments, settings)
        for place, subject in enumerate(subjects):
            report("gate", place, 2 * len(subjects), message=f"student on {subject.domain}")
            probe.play_student(subject)
        readings = {}
        for place, subject in enumerate(subjects):
            report("gate", len(subjects) + place, 2 * len(subjects), message=subject.name)
            readings[subject.name] = probe.read_teacher(subject)
    moved = displacements(start, {s.name: s.folder for s in subjects})
    report("gate", 2 * len(subjects), 2 * len(subjects))
    return ProbeResult(
        settings=settings,
        teachers=tuple(
            TeacherMeasure(
                name=subject.name,
                domain=subject.domain,
                reading=readings[subject.name].reading,
                scores=readings[subject.name].scores,
                displacement=moved[subject.name],
                ancestry=_ancestry(subject, subjects),
                swap=_swap(subject, readings),
                fork_point=_fork_point(subject),
                ladder=readings[subject.name].ladder,
            )
            for subject in subjects
        ),
        seconds=time.monotonic() - began,
    )


class _Probe:
    """Loads the student, samples its rollouts, and loads each teacher in turn."""

    def __init__(
        self,
        student: Policy,
        environments: Mapping[str, EnvironmentClient],
        settings: ProbeSettings,
    ) -> None:
        self._student, self._environments = student, environments
        self._settings = settings
        self._chat = ChatTokens(student.tokenizer)
        self._played: dict[str, list[Rollout]] = {}

    def play_student(self, subject: ProbedTeacher) -> None:
        """Sample the student's rollouts of a domain, once."""
        if subject.domain in self._played:
            return
        played = self._play(self._student, subject)
        if not any(rollout.num_response_tokens for rollout in played):
            raise RefusedError(
                "empty-rollouts",
                f"the student gives empty responses to the {len(played)} prompts of "
                f"{subject.domain!r}, so a teacher has no tokens to be measured on: check whether "
                "it ends its turn at once, raise gate_prompts_per_domain, or leave the domain out",
            )
        self._played[subject.domain] = played

    def read_teacher(self, subject: ProbedTeacher) -> _TeacherProbe:
        """Load a teacher, sample its domain, and score all rollouts of the student."""
        teacher = _load(subject.folder)
        _refuse_other_vocabulary(subject.name, teacher, self._student)
        own = self._played[subject.domain]
        model, pad_id = teacher.model, self._chat.pad_id
        reading = read(
            self._student.model,
            model,
            self._as_read(subject, own),
            self._settings,
            pad_id,
            self._chat.decode,
        )
        # There is nothing to sample from where probabilities are not finite: no answer, no score.
        answers = self._play(teacher, subject, subject.system_prompt) if reading.finite else []
        return _TeacherProbe(
            reading=reading,
            scores=paired(
                [rollout.grade.score for rollout in own],
                [rollout.grade.score for rollout in answers] or [0.0] * len(own),
            ),
            well={
                domain: log_likelihoods(model, self._as_read(subject, well), pad_id)
                for domain, rollouts in self._played.items()
                if (well := [r for r in rollouts if r.grade.score > WELL_GRADED])
            },
            ladder=tuple(self._climb(subject)),
        )

    def _climb(self, subject: ProbedTeacher) -> Iterator[RungReading]:
        """Yield the student's distance from each rung, loading one after the other."""
        if not subject.rungs:
            return
        own = self._as_read(subject, self._played[subject.domain])
        states = StudentStates(self._student.model, own, self._chat.pad_id)
        for step, folder in subject.rungs:
            name = f"{subject.name} at step {step}"
            report("gate", 0, 0, message=name)
            rung = _load(folder)
            _refuse_other_vocabulary(name, rung, self._student)
            yield RungReading(step=step, kl=states.kl_to(rung.model))

    def _as_read(self, subject: ProbedTeacher, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """Return rollouts as a teacher reads them: with its system prompt in its own domain."""
        prompts = TeacherPrompts(self._student.tokenizer, {subject.domain: subject.system_prompt})
        return [
            ScoredRollout(r, subject.name, teacher_prompt=prompts.ids(r.domain, r.prompt))
            for r in rollouts
        ]

    def _play(
        self, policy: Policy, subject: ProbedTeacher, system_prompt: str = ""
    ) -> list[Rollout]:
        """Sample a domain's prompts in the student's template, with the same noise per prompt."""
        asked = Policy(policy.model, self._student.tokenizer)
        player = make_player(self._environments, asked, self._settings.sampling, system_prompt)
        prompts = subject.prompts[: self._settings.prompts_per_domain]
        return play(player, subject.domain, prompts, self._settings.seed)


def _load(folder: Path) -> Policy:
    policy = load_policy(folder)
    nn.Module.to(policy.model.eval().requires_grad_(requires_grad=False), rank_device())
    return policy


def _ancestry(subject: ProbedTeacher, subjects: Sequence[ProbedTeacher]) -> Ancestry | None:
    if subject.parent is None:
        return None
    others = {s.parent.folder: s.parent for s in subjects if s.parent is not None}
    others |= {sibling.folder: sibling for sibling in subject.siblings}
    return ancestry(subject.folder, subject.parent, subject.grandparent, list(others.values()))


def _fork_point(subject: ProbedTeacher) -> Ancestry | None:
    """Check the declared fork point too: a true precursor may hide a false fork point."""
    if subject.parent is None or subject.fork_point is None:
        return None
    return ancestry(
        subject.parent.folder, subject.fork_point, subject.base, list(subject.other_forks)
    )


def _swap(subject: ProbedTeacher, readings: Mapping[str, _TeacherProbe]) -> SwapRow | None:
    of_domain = {name: other.well.get(subject.domain, []) for name, other in readings.items()}
    return explained(subject.name, of_domain)


def _refuse_empty(subjects: Sequence[ProbedTeacher]) -> None:
    if not subjects:
        raise RefusedError(
            "no-teachers", "no teacher is named: give at least one, such as math@released"
        )
    empty = sorted(s.domain for s in subjects if len(s.prompts) < LEAST_ROLLOUTS)
    if empty:
        raise RefusedError(
            "too-few-prompts",
            f"the domains {empty} have fewer than {LEAST_ROLLOUTS} validation prompts, too few "
            "to measure anything: ask their teams for a release with more",
        )


def _refuse_other_vocabulary(name: str, teacher: Policy, student: Policy) -> None:
    sizes = teacher.model.config.vocab_size, student.model.config.vocab_size
    if differ := tokenizer_differences(teacher.tokenizer, student.tokenizer):
        raise RefusedError(
            "other-tokenizer",
            f"the tokenizers of the teacher {name!r} and of the student differ in "
            f"{'; and in '.join(differ)}, so its probabilities belong to other tokens: leave it "
            "out, or train it again from the student's start",
        )
    if sizes[0] != sizes[1]:
        raise RefusedError(
            "other-rows",
            f"the teacher {name!r} and the student have one tokenizer, but {sizes[0]} and "
            f"{sizes[1]} rows of embeddings, of which the last are padding: bring the larger "
            "model in again (`provost checkpoint import`, `provost teacher import`), which trims "
            "the rows that are no token",
        )
