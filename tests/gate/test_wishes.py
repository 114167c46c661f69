"""Teachers as people ask for them: references, shares, and the student itself."""

import pytest

from tasks.gate.wishes import Seat, Wish, parse_wish, seat


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("math@released", Wish("math@released", None, is_self=False)),
        (" math@3 ", Wish("math@3", None, is_self=False)),
        ("math@3=0.7", Wish("math@3", 0.7, is_self=False)),
        ("math@3=1", Wish("math@3", 1.0, is_self=False)),
        ("instruct@2=self", Wish("instruct@2", None, is_self=True)),
        ("math@3#think", Wish("math@3", None, is_self=False, mode="think")),
        ("math@3#think=0.7", Wish("math@3", 0.7, is_self=False, mode="think")),
        ("math@3#off=self", Wish("math@3", None, is_self=True, mode="off")),
    ],
)
def test_a_wish_is_a_reference_and_what_it_gets(text, wish):
    assert parse_wish(text) == wish


@pytest.mark.parametrize("share", ["", "0", "-0.5", "1.5", "nan", "half", "inf"])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="is no share of a domain's rollouts"):
        parse_wish(f"math@3={share}")


def test_a_mode_without_a_name_is_refused():
    with pytest.raises(ValueError, match="names no mode after '#'"):
        parse_wish("math@3#=0.5")


def seats(*texts, domains=None, versions=None):
    wishes = [parse_wish(text) for text in texts]
    domains = domains or [wish.reference.partition("@")[0] for wish in wishes]
    versions = versions or [int(wish.reference.partition("@")[2]) for wish in wishes]
    return seat(wishes, domains, versions)


def test_a_single_teacher_is_named_by_its_domain_and_gets_all_of_it():
    assert seats("math@3", "code@1=self") == [Seat("math", 1.0), Seat("code", 1.0)]


def test_teachers_of_one_domain_are_named_by_version_and_share_it():
    found = seats("math@3=0.7", "code@1", "math@2=0.3")
    assert found == [Seat("math@3", 0.7), Seat("code", 1.0), Seat("math@2", 0.3)]


def test_modes_of_a_domain_are_shared_out_each_by_itself():
    found = seats("math@3#think", "math@2#off=0.4", "math@1#off=0.6")
    assert found == [Seat("math@3", 1.0), Seat("math@2", 0.4), Seat("math@1", 0.6)]


@pytest.mark.parametrize(
    "texts",
    [("math@3=0.7",), ("math@3=0.7", "math@2=0.2"), ("math@3=0.7", "math@2"), ("math@3", "math@2")],
)
def test_shares_that_do_not_add_up_are_refused(texts):
    with pytest.raises(ValueError, match=r"domain 'math' has .* so that they sum to 1"):
        seats(*texts)


def test_a_teacher_that_is_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"\['math@3'\] are named twice"):
        seats("math@3=0.5", "math@3=0.5")
