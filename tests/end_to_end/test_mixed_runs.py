"""The attacks of finding C3 on the toy testbed: inputs of two runs, handed to the real tasks."""

import pytest

from lineage.artifacts import Release, Rung, Student, put_manifest, read_manifest
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.rules.evidence import BrokenRuleError
from lineage.store.store import open_store
from tasks.contracts.handover import Domain, DomainSettings, Gated
from tasks.contracts.planned import input_of, plan_of
from tasks.platform.step_runner import StepRunner
from tasks.release.task import publish_student, release_teacher
from tests.support.making import take, write_record
from tests.support.tiny_faculty import TEAMS


@pytest.fixture
def store(student):
    return open_store()


def released(store, team):
    entry = Registry(store).resolve(f"{team}@1")
    return read_manifest(store, entry.digest, Release), Records(store).read(entry.record)


def domain_of(store, team):
    """Return a team's domain as its climb had it, from the release."""
    release, made = released(store, team)
    [sketches] = [item for item in made.inputs if item.role == "sft.sketches"]
    settings = DomainSettings(
        name=team, owner=release.owner, license=release.license, version=release.team_version
    )
    return Domain(
        settings=settings,
        environment=release.environment,
        train=release.prompts.train,
        validation=release.prompts.validation,
        evaluation=release.evaluation,
        demonstrations=release.sft.data,
        sketches=release.sft.data.model_copy(
            update={"kind": "sketch", "digest": sketches.artifact, "record": sketches.record}
        ),
    )


def written(store):
    registry = Registry(store)
    return Records(store).all(), [e for n in registry.names() for e in registry.versions(n)]


def rungs(release):
    return [Rung(step=rung.step, checkpoint=rung.checkpoint) for rung in release.ladder]


def test_another_teams_ladder_is_not_released_with_ones_own_scorecard(store):
    ours, theirs = TEAMS
    own, other = released(store, ours)[0], released(store, theirs)[0]
    domain = domain_of(store, ours)
    before = written(store)
    with pytest.raises(BrokenRuleError) as refused:
        release_teacher(ladder=rungs(other), domain=domain, scorecard=own.scorecard)
    assert {"owner", "domain", "scorecard"} <= refused.value.rules
    with pytest.raises(BrokenRuleError):
        release_teacher(ladder=rungs(own), domain=domain, scorecard=other.scorecard)
    assert written(store) == before
    again = release_teacher(ladder=rungs(own), domain=domain, scorecard=own.scorecard)
    assert again.digest == Registry(store).resolve(f"{ours}@1").digest


def published(store):
    entry = Registry(store).resolve("student.general@1")
    return read_manifest(store, entry.digest, Student), Records(store).read(entry.record)


def test_a_checkpoint_beside_another_ones_scorecard_is_wrong_under_any_publisher(store):
    """The cheap average in the student's place, with the good run's plan, card and gate."""
    manifest, made = published(store)
    average = manifest.controls["parameter_average"]
    forged = manifest.model_copy(update={"checkpoint": average})
    digest = put_manifest(store, forged)
    inputs = [
        take("checkpoint", (average.record, average.digest)) if item.role == "checkpoint" else item
        for item in made.inputs
    ]
    record, _ = write_record(
        store, b"", *inputs, kind="student", output=digest, output_kind="student"
    )
    problems = Verifier(store, None).verify(record).problems
    rules = {problem.what.partition("]")[0].removeprefix("[") for problem in problems}
    assert rules == {"rounds", "settings", "scorecard", "tokens"}


def test_a_teachers_scorecard_publishes_no_student(store):
    manifest, _ = published(store)
    student = Registry(store).resolve("student.general@1")
    runner = StepRunner(store)
    artifact = manifest.checkpoint.model_copy(
        update={"kind": "student", "digest": student.digest, "record": student.record}
    )
    gate = input_of(runner, artifact, "gate")
    report = artifact.model_copy(
        update={"kind": "gate", "digest": gate.artifact, "record": gate.record}
    )
    gated = Gated(plan=plan_of(runner, artifact), report=report, teachers=[])
    before = written(store)
    card = released(store, TEAMS[0])[0].scorecard
    with pytest.raises(BrokenRuleError):
        publish_student(gated=gated, scorecard=card, name="general")
    assert written(store) == before
    again = publish_student(gated=gated, scorecard=manifest.scorecard, name="general")
    assert again.digest == student.digest
