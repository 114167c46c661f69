"""Repeats the recorded climb of a released teacher from the student of a round.

What the team did is in the records of its release: its demonstrations, the settings of its stages,
its seed, and its evaluation. So the climb needs no code of the team beside its environment, which
travels with the release. The new release has the student as its fork point.
"""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from lineage.artifacts import Artifact, Release, Rung, Student, read_manifest
from lineage.records.record import Derivation
from lineage.registry.registry import Registry, check_may_publish
from lineage.rules.evidence import artifact_of, taken
from tasks.contracts.handover import Domain, DomainSettings, StageLabel
from tasks.contracts.refusal import RefusedError
from tasks.evaluate.cards import score_teacher
from tasks.evaluate.settings import EvaluationSettings
from tasks.gate.teacher_spec import TeacherSpec, parse_teacher_spec
from tasks.platform.step_runner import StepRunner
from tasks.refresh.order_form import ClimbOrder
from tasks.release.gain import LEAST_SCORE
from tasks.release.release import release_teacher
from tasks.rl.settings import RlSettings
from tasks.sft.settings import SftSettings
from tasks.sft.steps import finetune

_OF_ONE_RUNG = ("domain", "stop_at")
"""What the record of a rung holds beside the settings of the run."""


def check_refresh(runner: StepRunner, teachers: Sequence[str]) -> list[str]:
    """Return the teachers of a launch, if those that do not teach themselves can climb again.

    Raises:
        RefusedError: ``no-climb`` for a teacher without recorded stages that can be repeated.
        NotEntitledError: if the key may not release a teacher of the domain: its team has to climb.
        LineageError: for a reference that names nothing.
    """
    for spec in _climbing(teachers):
        release = _release(runner, spec)
        check_may_publish(runner.store, f"teacher.{release.domain}")
        _order(runner, spec, release, release.fork_point)
    return list(teachers)


def climbs_again(
    runner: StepRunner, teachers: Sequence[str], student: Artifact
) -> list[ClimbOrder]:
    """Return the climbs that repeat those of a launch's teachers, from a published student.

    Raises as ``check_refresh``.
    """
    start = read_manifest(runner.store, student.digest, Student).checkpoint
    return [_order(runner, spec, _release(runner, spec), start) for spec in _climbing(teachers)]


def learn_again(runner: StepRunner, order: ClimbOrder) -> Artifact:
    """Return the checkpoint that RL starts from: the student after the team's supervised stage."""
    own = order.domain.settings
    if order.sft is None:
        return order.start
    label = StageLabel(name=f"{own.name} sft", owner=own.owner, system_prompt=own.system_prompt)
    data = [order.domain.demonstrations]
    return finetune(runner, order.start, data, order.sft, order.seed, label)


def release_again(runner: StepRunner, order: ClimbOrder, ladder: Sequence[Rung]) -> Artifact:
    """Return the release of a ladder that climbed from the student, scored beside it."""
    teacher = ladder[-1].checkpoint
    card = score_teacher(runner, order.start, teacher, order.domain, order.evaluation)
    return release_teacher(runner, ladder, order.domain, card)


def next_teachers(teachers: Sequence[str], releases: Sequence[Artifact]) -> list[str]:
    """Return the teachers of the next round, with the shares and modes of the first.

    ``releases`` are of the teachers that climbed again, in order. One that the student is itself
    stays: it becomes the new start.
    """
    climbed, found = iter(releases), []
    for text in teachers:
        spec = parse_teacher_spec(text)
        if spec.is_self:
            found.append(text)
            continue
        mode = f"#{spec.mode}" if spec.mode else ""
        share = "" if spec.share is None else f"={spec.share!r}"
        found.append(f"{next(climbed).digest}{mode}{share}")
    return found


def _climbing(teachers: Sequence[str]) -> Iterator[TeacherSpec]:
    for text in teachers:
        spec = parse_teacher_spec(text)
        if not spec.is_self:
            yield spec


def _release(runner: StepRunner, spec: TeacherSpec) -> Release:
    entry = Registry(runner.store).resolve(spec.reference)
    if entry.kind != "release":
        raise _no_climb(spec.reference, f"it is a {entry.kind}, not a release")
    return read_manifest(runner.store, entry.digest, Release)


def _order(runner: StepRunner, spec: TeacherSpec, release: Release, start: Artifact) -> ClimbOrder:
    if release.kind != "rl" or release.sft is None:
        raise _no_climb(spec.reference, f"its release is of kind {release.kind}")
    made = runner.records.read(release.checkpoint.record)
    try:
        return ClimbOrder(
            start=start,
            domain=_domain(runner, spec, release),
            sft=_sft(runner, release),
            rl=RlSettings.model_validate(_settings(made)),
            seed=made.seed,
            evaluation=EvaluationSettings.model_validate(
                runner.records.read(release.scorecard.record).settings
            ),
        )
    except ValidationError as error:
        raise _no_climb(
            spec.reference, f"its climb is of kind {made.kind} with settings of its own"
        ) from error


def _sft(runner: StepRunner, release: Release) -> SftSettings | None:
    if release.precursor == release.fork_point:
        return None
    return SftSettings.model_validate(_settings(runner.records.read(release.precursor.record)))


def _settings(made: Derivation) -> dict[str, object]:
    return {name: value for name, value in made.settings.items() if name not in _OF_ONE_RUNG}


def _domain(runner: StepRunner, spec: TeacherSpec, release: Release) -> Domain:
    entry = Registry(runner.store).resolve(spec.reference)
    made, attested = runner.records.read(entry.record), runner.records.output(entry.record)
    least = attested.notes.get(LEAST_SCORE) if attested else None
    assert release.sft is not None
    return Domain(
        settings=DomainSettings.model_validate(
            {
                "name": release.domain,
                "owner": release.owner,
                "license": release.license,
                "version": release.team_version,
                "system_prompt": release.system_prompt,
                **({} if least is None else {"least_score": least}),
            }
        ),
        environment=release.environment,
        train=release.prompts.train,
        validation=release.prompts.validation,
        evaluation=release.evaluation,
        demonstrations=release.sft.data,
        sketches=artifact_of(taken(made, "sft.sketches")[0], "sketch"),
    )


def _no_climb(reference: str, why: str) -> RefusedError:
    return RefusedError(
        "no-climb",
        f"{reference} cannot climb again here: {why}. Let its team climb from the student of the "
        "first round (`provost run teacher TEAM --fork-point student.NAME@N`), and launch a "
        "consolidation from that student",
    )
