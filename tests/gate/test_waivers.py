"""Waivers: signed by who answers for students, of exactly one plan, and never of everything."""

import pytest

from lineage.digest import canonical_json
from lineage.dsse import PAYLOAD_TYPE, Envelope, SigningKey, parse_envelope, sign
from lineage.errors import LineageError, NotEntitledError, NotWaivableError, UnknownReferenceError
from lineage.launches.waiver import (
    NEVER_WAIVED,
    Accepted,
    Waiver,
    _derivation,
    _statement,
    read_waiver,
)
from lineage.records.record import Attestation, Records
from lineage.registry.registry import Registry
from lineage.trust.chain import publish
from lineage.trust.root import Team, TrustedKey, TrustRoot
from tasks.contracts.handover import Level
from tasks.gate.decision import MisfitError, waive
from tasks.gate.gate import admit, leave_unmeasured
from tasks.gate.plan import make_plan, propose
from tasks.platform.step_runner import StepRunner
from tests.gate.test_plan import Faculty
from tests.support.mirrors import MemoryMirror
from tests.support.refused import raised

OURS, NEXT, THEIRS, STRANGE = (SigningKey.generate() for _ in range(4))
ASKED = (["code@1"], "fork-point@1")
SINCE = "2026-01-01T00:00:00+00:00"


def trust_root(revoked=""):
    """A team that owns students and all else here, and one that owns one teacher."""
    ours = [
        TrustedKey(public=OURS.public, since=SINCE, revoked=revoked),
        TrustedKey(public=NEXT.public, since=SINCE),
    ]
    theirs = [TrustedKey(public=THEIRS.public, since=SINCE)]
    teams = {
        "consolidation": Team(names=("student.*", "*"), keys=tuple(ours)),
        "team-code": Team(names=("teacher.elsewhere",), keys=tuple(theirs)),
    }
    return TrustRoot(maintainers=(NEXT.public,), teams=teams)


@pytest.fixture
def runner(home):
    runner = StepRunner(mirror=MemoryMirror())
    publish(runner.store, trust_root(), NEXT)
    runner.store.signing_key = OURS
    return runner


@pytest.fixture
def faculty(runner):
    """A teacher of another fork point: refused, and for a person to accept."""
    faculty = Faculty(runner)
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))
    return faculty


def signed(runner):
    plan = propose(runner, *ASKED)
    return waive(runner, plan.artifact.digest, "one domain, tried on 20 prompts").artifact


def refusal(runner, *waivers, level=Level.REFUSAL):
    with pytest.raises((MisfitError, LineageError)) as caught:
        make_plan(runner, *ASKED, level, waivers)
    return str(caught.value)


def test_a_refusal_says_how_to_waive_it_and_a_waiver_lets_the_same_plan_pass(runner, faculty):
    plan = propose(runner, *ASKED)
    assert f"provost waive {plan.artifact.digest} --reason" in refusal(runner)
    waiver = signed(runner)
    passed = make_plan(runner, *ASKED, Level.REFUSAL, [waiver.digest])
    assert passed.artifact == plan.artifact
    assert passed.waivers == [waiver]
    assert "other-fork-point" in {note.code for note in passed.notes}


def test_a_waiver_is_a_record_that_descends_from_its_plan(runner, faculty):
    waiver = signed(runner)
    plan = propose(runner, *ASKED).artifact
    derivation = Records(runner.store).read(waiver.record)
    assert derivation.kind == "waiver"
    assert [(i.role, i.artifact, i.record) for i in derivation.inputs] == [
        ("plan", plan.digest, plan.record)
    ]
    assert derivation.settings["reason"] == "one domain, tried on 20 prompts"
    assert derivation.settings["findings"] == [
        {"code": "other-fork-point", "subject": "teacher.code@1"}
    ]


def test_a_waiver_of_another_plan_does_not_count(runner, faculty):
    waiver = signed(runner)
    faculty.teacher("math", 1)
    with raised(LineageError, "plan-changed"):
        make_plan(runner, ["code@1", "math@1"], "fork-point@1", Level.REFUSAL, [waiver.digest])


def test_a_finding_that_came_later_makes_another_plan(runner, faculty):
    waiver = signed(runner)
    Registry(runner.store).recall("teacher.code", 1, by="team", reason="leaked answers")
    assert "have changed since" in refusal(runner, waiver.digest)


def test_a_recall_is_never_waived_nor_is_that_offered(runner, faculty):
    Registry(runner.store).recall("teacher.code", 1, by="team", reason="leaked answers")
    assert "provost waive" not in refusal(runner)
    with pytest.raises(NotWaivableError):
        signed(runner)


def test_a_team_of_teachers_does_not_waive(runner, faculty):
    plan = propose(runner, *ASKED).artifact
    by_hand = forged(runner, plan, key=THEIRS)
    with pytest.raises(NotEntitledError):
        make_plan(runner, *ASKED, Level.REFUSAL, [by_hand])
    runner.store.signing_key = THEIRS
    with pytest.raises(NotEntitledError):
        waive(runner, plan.digest, "because")


def test_an_unknown_key_and_a_revoked_one_do_not_count(runner, faculty):
    plan = propose(runner, *ASKED).artifact
    waiver = signed(runner)
    with pytest.raises(NotEntitledError):
        make_plan(runner, *ASKED, Level.REFUSAL, [forged(runner, plan, key=STRANGE)])
    publish(runner.store, trust_root(revoked="2026-11-21T00:00:00+00:00"), NEXT)
    with pytest.raises(NotEntitledError):
        read_waiver(runner.store, waiver.digest, plan)


@pytest.mark.parametrize("key", ["unknown", "revoked", "another team's"])
def test_a_key_that_cannot_count_signs_nothing(runner, faculty, key):
    plan = propose(runner, *ASKED).artifact
    own = runner.store.signing_key
    if key == "revoked":
        publish(runner.store, trust_root(revoked="2026-11-21T00:00:00+00:00"), NEXT)
    runner.store.signing_key = {"unknown": STRANGE, "another team's": THEIRS}.get(key, own)
    before = runner.records.all()
    # With the key its plan is revoked too, so there is nothing left to waive.
    with pytest.raises(UnknownReferenceError if key == "revoked" else NotEntitledError):
        waive(runner, plan.digest, "because")
    runner.store.signing_key = own
    assert runner.records.all() == before


def test_a_waiver_of_another_store_does_not_count(runner, faculty):
    plan = propose(runner, *ASKED).artifact
    with pytest.raises(LineageError):
        make_plan(runner, *ASKED, Level.REFUSAL, [forged(runner, plan, store="0" * 32)])


def test_words_that_were_changed_after_signing_do_not_count(runner, faculty):
    plan = propose(runner, *ASKED).artifact
    envelope = parse_envelope(runner.store.get_bytes(signed(runner).digest), "")
    other = parse_envelope(runner.store.get_bytes(forged(runner, plan)), "")
    mixed = Envelope(other.payload, other.payload_type, envelope.signatures)
    digest = runner.store.put_bytes(mixed.to_bytes())
    with pytest.raises(NotEntitledError):
        make_plan(runner, *ASKED, Level.REFUSAL, [digest])


def test_a_record_of_another_kind_than_waiver_is_refused(runner, faculty):
    assert "provost waive" in refusal(runner, runner.store.put_bytes(b"{}"))
    plan = propose(runner, *ASKED).artifact
    with pytest.raises(LineageError):
        read_waiver(runner.store, plan.digest, plan)


def test_a_warning_is_refused_only_if_set(runner):
    faculty = Faculty(runner)
    made = faculty.checkpoint("both", 3, faculty.fork_point)
    for domain in ("math", "code"):
        faculty.teacher(domain, 1, checkpoint=made[1])
    asked = (["math@1", "code@1"], "fork-point@1")
    plan = make_plan(runner, *asked, Level.REFUSAL)
    with pytest.raises(MisfitError, match="same-checkpoint"):
        make_plan(runner, *asked, Level.WARNING)
    waiver = waive(runner, plan.artifact.digest, "an experiment").artifact
    assert make_plan(runner, *asked, Level.WARNING, [waiver.digest]).waivers == [waiver]


def test_a_plan_without_findings_and_an_empty_reason_are_not_signed(runner):
    faculty = Faculty(runner)
    faculty.teacher("math", 1)
    plan = propose(runner, ["math@1"], "fork-point@1").artifact
    with raised(LineageError, "nothing-to-waive"):
        waive(runner, plan.digest, "why not")
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))
    plan = propose(runner, *ASKED).artifact
    for reason in ("", "  "):
        with raised(LineageError, "no-reason"):
            waive(runner, plan.digest, reason)
    with raised(LineageError, "not-a-plan"):
        waive(runner, faculty.fork_point[1], "a checkpoint")


def behind_the_gate(runner, level, *waivers):
    """Return the plan as it comes through both, nothing measured, with the same waivers."""
    plan = make_plan(runner, *ASKED, level, waivers)
    return admit(runner, leave_unmeasured(runner, plan), level, waivers).plan


def test_what_was_accepted_before_the_gate_is_accepted_behind_it(runner, faculty):
    waiver = signed(runner)
    passed = behind_the_gate(runner, Level.REFUSAL, waiver.digest)
    assert passed.waivers == [waiver]
    assert passed.artifact != propose(runner, *ASKED).artifact


def test_a_waiver_of_the_earlier_plan_accepts_nothing_that_the_gate_added(runner, faculty):
    waiver = signed(runner)
    with pytest.raises(MisfitError) as caught:
        behind_the_gate(runner, Level.WARNING, waiver.digest)
    assert "[not-measured]" in str(caught.value)
    assert "[other-fork-point]" not in str(caught.value)


def test_a_waiver_of_the_plan_behind_the_gate_serves_alone_or_beside_the_first(runner, faculty):
    first = signed(runner)
    plan = make_plan(runner, *ASKED, Level.REFUSAL, [first.digest])
    after = leave_unmeasured(runner, plan).plan.artifact
    second = waive(runner, after.digest, "measured by hand").artifact
    alone = behind_the_gate(runner, Level.WARNING, second.digest)
    both = behind_the_gate(runner, Level.WARNING, first.digest, second.digest)
    assert alone.artifact == both.artifact == after  # waivers are no part of what a plan is
    assert (alone.waivers, both.waivers) == ([second], [first, second])


def test_a_waiver_of_another_consolidation_that_led_here_does_not_count(runner, faculty):
    waiver = signed(runner)
    earlier = propose(runner, *ASKED).artifact
    faculty.register(
        "later-start", faculty.checkpoint("later", 3, earlier_of(earlier)), "checkpoint"
    )
    with raised(LineageError, "plan-changed"):
        make_plan(runner, ["code@1"], "later-start@1", Level.REFUSAL, [waiver.digest])


def earlier_of(artifact):
    """Return a plan as a checkpoint's parent."""
    return (artifact.record, artifact.digest)


def forged(runner, plan, code="other-fork-point", key=OURS, **changed):
    """Put an envelope by hand, by default of a team that answers for students."""
    waiver = Waiver(
        plan=plan.digest,
        findings=(Accepted(code=code, subject="teacher.code@1"),),
        reason="because",
        at="2026-11-21T00:00:00+00:00",
    )
    payload_type = changed.pop("payload_type", PAYLOAD_TYPE)
    statement = _statement(waiver, changed.pop("store", runner.records.journal.trust.store))
    envelope = sign(canonical_json(statement | changed), key, payload_type)
    digest = runner.store.put_bytes(envelope.to_bytes())
    derivation = _derivation(waiver, digest, plan.record, runner.project)
    attestation = Attestation(derivation=derivation.digest(), output=digest, output_kind="waiver")
    Records(runner.store).write(derivation, attestation)
    return digest


def test_a_waiver_made_by_hand_counts_where_it_is_whole(runner, faculty):
    plan = propose(runner, *ASKED).artifact
    digest = forged(runner, plan)
    assert [w.digest for w in make_plan(runner, *ASKED, Level.REFUSAL, [digest]).waivers] == [
        digest
    ]


@pytest.mark.parametrize("code", sorted(NEVER_WAIVED))
def test_a_hand_made_waiver_of_what_is_never_waived_is_refused(runner, faculty, code):
    plan = propose(runner, *ASKED).artifact
    with pytest.raises(NotWaivableError):
        make_plan(runner, *ASKED, Level.REFUSAL, [forged(runner, plan, code)])


@pytest.mark.parametrize(
    "changed",
    [
        {"payload_type": "text/plain"},
        {"predicateType": "urn:provost:registry-entry:1"},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"subject": [{"name": "plan", "digest": {"sha256": "0" * 64}}]},
    ],
)
def test_a_signed_statement_of_another_type_or_subject_waives_nothing(runner, faculty, changed):
    plan = propose(runner, *ASKED).artifact
    with pytest.raises(LineageError):
        make_plan(runner, *ASKED, Level.REFUSAL, [forged(runner, plan, **changed)])
