"""The check by record: each fault gives its finding, and what fits gives none."""

from dataclasses import replace

import pytest

from lineage.compatibility.checks import Candidate, Start, check
from lineage.compatibility.sketch import sketch
from tests.support.making import release_of

FORK, TOKENIZER, TEMPLATE = ("sha256:" + letter * 64 for letter in "abc")
OTHER = "sha256:" + "f" * 64
START = Start(checkpoint=FORK, tokenizer=TOKENIZER, template=TEMPLATE)


def candidate(domain: str, checkpoint: str, **changes) -> Candidate:
    release = release_of(
        domain, checkpoint=checkpoint, fork_point=FORK, tokenizer=TOKENIZER, template=TEMPLATE
    )
    parts = {key: changes.pop(key) for key in ("tokenizer", "template") if key in changes}
    if "fork_point" in changes:
        moved = release.fork_point.model_copy(update={"digest": changes.pop("fork_point")})
        parts["fork_point"] = moved
    release = release.model_copy(update=parts)
    known = {
        "ancestors": frozenset({release.fork_point.digest}),
        "signature": "signed",
    } | changes
    return Candidate(reference=f"teacher.{domain}@1", release=release, **known)


MATH = candidate("math", "sha256:" + "1" * 64)
CODE = candidate("code", "sha256:" + "2" * 64)


def test_teachers_of_one_fork_point_fit():
    assert check({"math": MATH, "code": CODE}, START) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fork_point": OTHER}, "other-fork-point"),
        ({"tokenizer": OTHER}, "other-tokenizer"),
        ({"template": OTHER}, "other-template"),
        ({"recalled": "teacher.math@1 was recalled: leak"}, "recalled-input"),
        ({"ancestors": frozenset({OTHER})}, "false-ancestry"),
    ],
)
def test_each_fault_is_one_refusal_about_the_right_teacher(changes, code):
    bad = candidate("math", "sha256:" + "1" * 64, **changes)
    [finding] = check({"math": bad, "code": CODE}, START)
    assert (finding.code, finding.severity, finding.subject) == (code, "refusal", "teacher.math@1")
    assert finding.evidence
    assert finding.next_step


def test_swapped_teachers_are_both_refused():
    found = check({"math": CODE, "code": MATH}, START)
    assert [finding.code for finding in found] == ["swapped-domain", "swapped-domain"]


def test_what_is_only_suspicious_is_a_warning():
    unproven = candidate("math", "sha256:" + "1" * 64, ancestors=frozenset())
    assert [f.code for f in check({"math": unproven}, START)] == ["unproven-ancestry"]
    twin = candidate("code", "sha256:" + "1" * 64)
    found = check({"math": MATH, "code": twin}, START)
    assert [(f.code, f.severity) for f in found] == [("same-checkpoint", "warning")] * 2


def test_teachers_of_an_earlier_fork_point_fit_a_later_rounds_student():
    later = Start(OTHER, TOKENIZER, TEMPLATE, ancestors=frozenset({FORK}))
    [finding] = check({"math": MATH}, later)
    assert (finding.code, finding.severity) == ("later-round", "note")


def test_a_foreign_fork_point_says_how_far_back_the_ways_parted():
    foreign = candidate("math", "sha256:" + "1" * 64, fork_point=OTHER, steps_to_fork=4)
    [finding] = check({"math": foreign}, START)
    assert "nearest common ancestor is 4 records back" in finding.evidence
    stranger = candidate("math", "sha256:" + "1" * 64, fork_point=OTHER)
    assert "share no ancestor" in check({"math": stranger}, START)[0].evidence


def test_a_release_without_an_attestation_gives_a_warning():
    [finding] = check({"math": replace(MATH, signature="unsigned")}, START)
    assert (finding.code, finding.severity) == ("unsigned", "warning")
    assert check({"math": replace(MATH, signature="adopted")}, START) == []


def test_a_teacher_of_supervised_data_alone_is_warned_of():
    release = MATH.release.model_copy(update={"kind": "sft"})
    [finding] = check({"math": replace(MATH, release=release)}, START)
    assert (finding.code, finding.severity) == ("sft-teacher", "warning")


COMMON = [f"what is {n} plus one, please say it" for n in range(20)]


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        (COMMON, []),
        ([*COMMON[:2], *(f"row {n} of its own making, number {n}" for n in range(20))], []),
        ([f"row {n} of its own making, number {n}" for n in range(20)], ["own-data"] * 2),
    ],
)
def test_supervised_data_of_ones_own_is_noted(rows, codes):
    math, code = replace(MATH, sketch=sketch(COMMON)), replace(CODE, sketch=sketch(rows))
    found = check({"math": math, "code": code}, START)
    assert [finding.code for finding in found] == codes
    assert all("0.0% of the supervised rows" in finding.evidence for finding in found)
