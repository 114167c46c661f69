"""Teachers as a launch names them: references, shares, modes, and the student itself."""

import pytest

from tasks.gate.teacher_spec import Assignment, TeacherSpec, assign, parse_teacher_spec
from tests.support.refused import refused


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("math@released", TeacherSpec("math@released", None, is_self=False)),
        (" math@3 ", TeacherSpec("math@3", None, is_self=False)),
        ("math@3=0.7", TeacherSpec("math@3", 0.7, is_self=False)),
        ("math@3=1", TeacherSpec("math@3", 1.0, is_self=False)),
        ("instruct@2=self", TeacherSpec("instruct@2", None, is_self=True)),
        ("math@3#think", TeacherSpec("math@3", None, is_self=False, mode="think")),
        ("math@3#think=0.7", TeacherSpec("math@3", 0.7, is_self=False, mode="think")),
        ("math@3#off=self", TeacherSpec("math@3", None, is_self=True, mode="off")),
    ],
)
def test_a_spec_is_a_reference_with_share_and_mode(text, spec):
    assert parse_teacher_spec(text) == spec


@pytest.mark.parametrize("share", ["", "0", "-0.5", "1.5", "nan", "half", "inf"])
def test_a_share_outside_0_to_1_is_refused(share):
    with refused("invalid-share", f"math@3={share}"):
        parse_teacher_spec(f"math@3={share}")


def test_a_mode_without_a_name_is_refused():
    with refused("empty-mode"):
        parse_teacher_spec("math@3#=0.5")


def assignments(*texts, domains=None, versions=None):
    specs = [parse_teacher_spec(text) for text in texts]
    domains = domains or [spec.reference.partition("@")[0] for spec in specs]
    versions = versions or [int(spec.reference.partition("@")[2]) for spec in specs]
    return assign(specs, domains, versions)


def test_a_single_teacher_is_named_by_its_domain_and_gets_all_of_it():
    assert assignments("math@3", "code@1=self") == [
        Assignment("math", 1.0),
        Assignment("code", 1.0),
    ]


def test_teachers_of_one_domain_are_named_by_version_and_share_it():
    found = assignments("math@3=0.7", "code@1", "math@2=0.3")
    assert found == [Assignment("math@3", 0.7), Assignment("code", 1.0), Assignment("math@2", 0.3)]


def test_each_mode_of_a_domain_has_its_own_shares():
    found = assignments("math@3#think", "math@2#off=0.4", "math@1#off=0.6")
    assert found == [
        Assignment("math@3", 1.0),
        Assignment("math@2", 0.4),
        Assignment("math@1", 0.6),
    ]


@pytest.mark.parametrize(
    "texts",
    [("math@3=0.7",), ("math@3=0.7", "math@2=0.2"), ("math@3=0.7", "math@2"), ("math@3", "math@2")],
)
def test_shares_that_do_not_sum_to_1_are_refused(texts):
    with refused("uneven-shares", "'math'"):
        assignments(*texts)


def test_a_teacher_that_is_named_twice_is_refused():
    with refused("repeated-teacher", "['math@3']"):
        assignments("math@3=0.5", "math@3=0.5")
