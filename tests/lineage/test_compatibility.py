"""The check by record: each fault gives its finding, and what fits gives none."""

import pytest

from lineage.compatibility import Candidate, Start, check
from tests.lineage.making import release_of

FORK, TOKENIZER, TEMPLATE = ("sha256:" + letter * 64 for letter in "abc")
OTHER = "sha256:" + "f" * 64
START = Start(fork_point=FORK, tokenizer=TOKENIZER, template=TEMPLATE)


def candidate(domain: str, checkpoint: str, **changes) -> Candidate:
    release = release_of(
        domain, checkpoint=checkpoint, fork_point=FORK, tokenizer=TOKENIZER, template=TEMPLATE
    )
    parts = {key: changes.pop(key) for key in ("tokenizer", "template") if key in changes}
    if "fork_point" in changes:
        moved = release.fork_point.model_copy(update={"digest": changes.pop("fork_point")})
        parts["fork_point"] = moved
    release = release.model_copy(update=parts)
    known = {"ancestors": frozenset({release.fork_point.digest})} | changes
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
