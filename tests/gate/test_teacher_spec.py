"""Teachers as people ask for them: references, shares, and the student itself."""

import pytest

from tasks.gate.teacher_spec import Assignment, TeacherSpec, assign, parse_teacher_spec


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
def test_a_wish_is_a_reference_and_what_it_gets(text, spec):
    assert parse_teacher_spec(text) == spec


@pytest.mark.parametrize("share", ["", "0", "-0.5", "1.5", "nan", "half", "inf"])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="is no share of a domain's rollouts"):
        parse_teacher_spec(f"math@3={share}")


def test_a_mode_without_a_name_is_refused():
    with pytest.raises(ValueError, match="names no mode after '#'"):
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


def test_modes_of_a_domain_are_shared_out_each_by_itself():
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
def test_shares_that_do_not_add_up_are_refused(texts):
    with pytest.raises(ValueError, match=r"domain 'math' has .* so that they sum to 1"):
        assignments(*texts)


def test_a_teacher_that_is_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"\['math@3'\] are named twice"):
        assignments("math@3=0.5", "math@3=0.5")
