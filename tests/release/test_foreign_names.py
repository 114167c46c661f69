"""A name that verification would refuse is refused before any work, by whoever may not use it."""

import pytest

from lineage.artifacts import Artifact
from lineage.errors import LineageError, NotEntitledError
from lineage.records.record import Records
from lineage.registry.registry import Registry
from tasks.attribution.subject import check_may_audit
from tasks.contracts.handover import DomainSettings
from tasks.gate.task import make_plan
from tasks.mopd.launch_form import LaunchForm
from tasks.mopd.task import round_settings
from tasks.platform.step_runner import StepRunner
from tasks.release.domain import collect_domain
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.teams import KEYS, Shared


@pytest.fixture
def shared(home, monkeypatch):
    monkeypatch.setenv("PROVOST_STORE", str(home / "store"))
    return Shared(home / "store")


def runner_of(store):
    return StepRunner(store, mirror=MemoryMirror())


def registered(store, name):
    record, output = write_record(store, b"manifest", kind="student", output_kind="student")
    made = Artifact(kind="student", digest=output, record=record)
    Registry(store).register(name, made, owner="consolidation")
    return made


@pytest.mark.parametrize(
    ("team", "publish_as"), [("code-team", "general"), ("consolidation", "General Student")]
)
def test_a_plan_for_a_student_that_could_not_be_published_is_refused_first(
    shared, monkeypatch, team, publish_as
):
    monkeypatch.setenv("PROVOST_SIGNING_KEY", KEYS[team].to_pem())
    form = LaunchForm(publish_as=publish_as)
    launch = round_settings(**{name: getattr(form, name) for name in LaunchForm.model_fields})
    with pytest.raises(LineageError) as refused:
        make_plan(
            teachers=form.teachers,  # which do not exist: nothing has looked for them
            student=form.student,
            workload=launch.workload,
            order=launch.gate,
            waivers=[],
            publish_as=publish_as,
            sampling=launch.spec.sampling,
            ladder_stages=1,
            launched=launch.launched,
            conditions=launch.spec.conditions,
        )
    assert f"student.{publish_as}" in str(refused.value)
    assert list(Records(shared.code).all()) == []


def test_the_domain_of_another_team_is_refused_before_its_prompts_are_made(shared):
    settings = DomainSettings(
        name="math",
        owner="code-team",
        version="1.0.0",
        num_train=8,
        num_validation=8,
        num_evaluation=8,
        num_demonstrations=8,
    )
    with pytest.raises(NotEntitledError):
        collect_domain(runner_of(shared.code), "no.such.package", settings, 0)


def test_an_audit_that_could_not_be_registered_is_refused_before_its_retrains(shared):
    student = registered(shared.consolidation, "student.general")
    assert check_may_audit(runner_of(shared.consolidation), student) == ["audit.general"]
    assert check_may_audit(runner_of(shared.math), None) == []  # it is registered under no name
    with pytest.raises(NotEntitledError):
        check_may_audit(runner_of(shared.math), student)
