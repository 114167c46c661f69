"""A consolidated model becomes a published student."""

import json

import pytest

from lineage.artifacts import Student, read_manifest
from lineage.operations.verify import Verifier
from lineage.registry.registry import Registry


@pytest.fixture
def runner(make):
    return make.runner


def manifest_of(runner, published):
    return read_manifest(runner.store, published.digest, Student)


def test_a_student_names_its_teachers_with_the_tokens_of_its_round(runner, consolidated):
    made = consolidated(tokens=[{"math": 120, "code": 7}])
    manifest = manifest_of(runner, made.publish())
    assert [(t.domain, t.tokens_routed, t.reference) for t in manifest.teachers] == [
        ("math", 120, "teacher.math@1"),
        ("code", 7, "teacher.code@1"),
    ]
    assert [t.release for t in manifest.teachers] == [t.release.digest for t in made.teachers]
    assert manifest.plan == made.plan.artifact.digest
    assert manifest.settings == {"kind": "mopd", "seed": 0, "steps": 2, "of": 100}


def test_the_tokens_of_all_rounds_count(runner, consolidated):
    made = consolidated(tokens=[{"math": 100, "code": 1}, {"math": 20}])
    manifest = manifest_of(runner, made.publish())
    assert [share.tokens_routed for share in manifest.teachers] == [120, 1]


def test_a_round_that_counted_nothing_routed_nothing(runner, consolidated):
    manifest = manifest_of(runner, consolidated().publish())
    assert [share.tokens_routed for share in manifest.teachers] == [0, 0]


def test_checkpoint_and_controls_are_those_that_the_scorecard_measured(runner, consolidated):
    made = consolidated()
    manifest = manifest_of(runner, made.publish())
    assert manifest.checkpoint.digest == made.student.digest
    assert {name: c.digest for name, c in manifest.controls.items()} == {
        name: control.digest for name, control in made.controls.items()
    }


def test_all_that_it_came_of_are_inputs_of_its_record(runner, consolidated):
    made = consolidated()
    published = made.publish()
    inputs = {item.role: item.artifact for item in runner.records.read(published.record).inputs}
    assert inputs["plan"] == made.plan.artifact.digest
    assert inputs["gate"] == made.gated.report.digest
    assert "approval" not in inputs
    for teacher in made.teachers:
        assert inputs[f"release.{teacher.domain}"] == teacher.release.digest
    assert {"controls.parameter_average", "controls.task_arithmetic"} <= inputs.keys()


def test_it_verifies_by_the_same_rules(runner, consolidated):
    found = Verifier(runner.store, None).verify(consolidated().publish().record)
    assert (found.problems, found.unknown) == ([], [])


def test_a_student_is_registered_under_the_requested_name(runner, consolidated):
    published = consolidated().publish(name="coding-first")
    registry = Registry(runner.store)
    assert registry.resolve("student.coding-first@candidate").digest == published.digest
    assert registry.aliases("student.coding-first") == {"candidate": 1}
    body = json.loads(runner.store.get_bytes(published.digest))
    assert body["owner"] == "consolidation"
