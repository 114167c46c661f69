"""Waivers: signed by who answers for students, of exactly one plan, and never of everything."""

import pytest

from lineage.digest import canonical_json
from lineage.dsse import PAYLOAD_TYPE, Envelope, SigningKey, parse_envelope, sign
from lineage.errors import LineageError, NotEntitledError, NotWaivableError
from lineage.record import Attestation, Records
from lineage.registry import Registry
from lineage.trust import Team, TrustedKey, TrustRoot
from lineage.trust_chain import publish
from lineage.waiver import NEVER_WAIVED, Accepted, Waiver, _derivation, _statement, read_waiver
from tasks.gate.decision import MisfitError, waive
from tasks.gate.gate import admit, leave_unmeasured
from tasks.gate.plan import make_plan, propose
from tasks.handover import Level
from tasks.step import Bench
from tests.gate.test_plan import Faculty
from tests.support.mirrors import MemoryMirror

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
def bench(home):
    bench = Bench(mirror=MemoryMirror())
    publish(bench.store, trust_root(), NEXT)
    bench.store.signing_key = OURS
    return bench


@pytest.fixture
def faculty(bench, tmp_path):
    """A teacher of another fork point: refused, and for a person to accept."""
    faculty = Faculty(bench, tmp_path)
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))
    return faculty


def signed(bench):
    plan = propose(bench, *ASKED)
    return waive(bench, plan.artifact.digest, "one domain, tried on 20 prompts").artifact


def refusal(bench, *waivers, level=Level.REFUSAL):
    with pytest.raises((MisfitError, LineageError)) as caught:
        make_plan(bench, *ASKED, level, waivers)
    return str(caught.value)


def test_a_refusal_says_how_to_waive_it_and_a_waiver_lets_the_same_plan_pass(bench, faculty):
    plan = propose(bench, *ASKED)
    assert f"provost waive {plan.artifact.digest} --reason" in refusal(bench)
    waiver = signed(bench)
    passed = make_plan(bench, *ASKED, Level.REFUSAL, [waiver.digest])
    assert passed.artifact == plan.artifact
    assert passed.waivers == [waiver]
    assert "other-fork-point" in {note.code for note in passed.notes}


def test_a_waiver_is_a_record_that_descends_from_its_plan(bench, faculty):
    waiver = signed(bench)
    plan = propose(bench, *ASKED).artifact
    derivation = Records(bench.store).read(waiver.record)
    assert derivation.kind == "waiver"
    assert [(i.role, i.artifact, i.record) for i in derivation.inputs] == [
        ("plan", plan.digest, plan.record)
    ]
    assert derivation.settings["reason"] == "one domain, tried on 20 prompts"
    assert derivation.settings["findings"] == [
        {"code": "other-fork-point", "subject": "teacher.code@1"}
    ]


def test_a_waiver_of_another_plan_does_not_count(bench, faculty):
    waiver = signed(bench)
    faculty.teacher("math", 1)
    with pytest.raises(LineageError, match="have changed since"):
        make_plan(bench, ["code@1", "math@1"], "fork-point@1", Level.REFUSAL, [waiver.digest])


def test_a_finding_that_came_later_makes_another_plan(bench, faculty):
    waiver = signed(bench)
    Registry(bench.store).recall("teacher.code", 1, by="team", reason="leaked answers")
    assert "have changed since" in refusal(bench, waiver.digest)


def test_a_recall_is_never_waived_nor_is_that_offered(bench, faculty):
    Registry(bench.store).recall("teacher.code", 1, by="team", reason="leaked answers")
    assert "provost waive" not in refusal(bench)
    with pytest.raises(LineageError, match="is never waived"):
        signed(bench)


def test_a_team_of_teachers_does_not_waive(bench, faculty):
    plan = propose(bench, *ASKED).artifact
    by_hand = forged(bench, plan, key=THEIRS)
    with pytest.raises(NotEntitledError):
        make_plan(bench, *ASKED, Level.REFUSAL, [by_hand])
    bench.store.signing_key = THEIRS
    with pytest.raises(NotEntitledError):
        waive(bench, plan.digest, "because")


def test_an_unknown_key_and_a_revoked_one_do_not_count(bench, faculty):
    plan = propose(bench, *ASKED).artifact
    waiver = signed(bench)
    with pytest.raises(NotEntitledError):
        make_plan(bench, *ASKED, Level.REFUSAL, [forged(bench, plan, key=STRANGE)])
    publish(bench.store, trust_root(revoked="2026-11-21T00:00:00+00:00"), NEXT)
    with pytest.raises(NotEntitledError):
        read_waiver(bench.store, waiver.digest, plan)


def test_a_waiver_of_another_store_does_not_count(bench, faculty):
    plan = propose(bench, *ASKED).artifact
    with pytest.raises(LineageError):
        make_plan(bench, *ASKED, Level.REFUSAL, [forged(bench, plan, store="0" * 32)])


def test_words_that_were_changed_after_signing_do_not_count(bench, faculty):
    plan = propose(bench, *ASKED).artifact
    envelope = parse_envelope(bench.store.get_bytes(signed(bench).digest), "")
    other = parse_envelope(bench.store.get_bytes(forged(bench, plan)), "")
    mixed = Envelope(other.payload, other.payload_type, envelope.signatures)
    digest = bench.store.put_bytes(mixed.to_bytes())
    with pytest.raises(NotEntitledError):
        make_plan(bench, *ASKED, Level.REFUSAL, [digest])


def test_what_is_no_waiver_is_refused(bench, faculty):
    assert "provost waive" in refusal(bench, bench.store.put_bytes(b"{}"))
    plan = propose(bench, *ASKED).artifact
    with pytest.raises(LineageError):
        read_waiver(bench.store, plan.digest, plan)


def test_a_warning_is_refused_only_where_that_is_asked(bench, tmp_path):
    faculty = Faculty(bench, tmp_path)
    made = faculty.checkpoint("both", 3, faculty.fork_point)
    for domain in ("math", "code"):
        faculty.teacher(domain, 1, checkpoint=made[1])
    asked = (["math@1", "code@1"], "fork-point@1")
    plan = make_plan(bench, *asked, Level.REFUSAL)
    with pytest.raises(MisfitError, match="same-checkpoint"):
        make_plan(bench, *asked, Level.WARNING)
    waiver = waive(bench, plan.artifact.digest, "an experiment").artifact
    assert make_plan(bench, *asked, Level.WARNING, [waiver.digest]).waivers == [waiver]


def test_a_plan_without_findings_and_an_empty_reason_are_not_signed(bench, tmp_path):
    faculty = Faculty(bench, tmp_path)
    faculty.teacher("math", 1)
    plan = propose(bench, ["math@1"], "fork-point@1").artifact
    with pytest.raises(LineageError, match="needs no waiver"):
        waive(bench, plan.digest, "why not")
    faculty.teacher("code", 2, parent=faculty.checkpoint("other", 9))
    plan = propose(bench, *ASKED).artifact
    for reason in ("", "  "):
        with pytest.raises(LineageError, match="a waiver needs a reason"):
            waive(bench, plan.digest, reason)
    with pytest.raises(LineageError, match="not a plan"):
        waive(bench, faculty.fork_point[1], "a checkpoint")


def behind_the_gate(bench, level, *waivers):
    """Return the plan as it comes through both, nothing measured, with the same waivers."""
    plan = make_plan(bench, *ASKED, level, waivers)
    return admit(bench, leave_unmeasured(bench, plan), level, waivers).plan


def test_what_was_accepted_before_the_gate_is_accepted_behind_it(bench, faculty):
    waiver = signed(bench)
    passed = behind_the_gate(bench, Level.REFUSAL, waiver.digest)
    assert passed.waivers == [waiver]
    assert passed.artifact != propose(bench, *ASKED).artifact


def test_a_waiver_of_the_earlier_plan_accepts_nothing_that_the_gate_added(bench, faculty):
    waiver = signed(bench)
    with pytest.raises(MisfitError) as caught:
        behind_the_gate(bench, Level.WARNING, waiver.digest)
    assert "[not-measured]" in str(caught.value)
    assert "[other-fork-point]" not in str(caught.value)


def test_a_waiver_of_the_plan_behind_the_gate_serves_alone_or_beside_the_first(bench, faculty):
    first = signed(bench)
    plan = make_plan(bench, *ASKED, Level.REFUSAL, [first.digest])
    after = leave_unmeasured(bench, plan).plan.artifact
    second = waive(bench, after.digest, "measured by hand").artifact
    alone = behind_the_gate(bench, Level.WARNING, second.digest)
    both = behind_the_gate(bench, Level.WARNING, first.digest, second.digest)
    assert alone.artifact == both.artifact == after  # waivers are no part of what a plan is
    assert (alone.waivers, both.waivers) == ([second], [first, second])


def test_a_waiver_of_another_consolidation_that_led_here_does_not_count(bench, faculty):
    waiver = signed(bench)
    earlier = propose(bench, *ASKED).artifact
    faculty.register(
        "later-start", faculty.checkpoint("later", 3, earlier_of(earlier)), "checkpoint"
    )
    with pytest.raises(LineageError, match="have changed since"):
        make_plan(bench, ["code@1"], "later-start@1", Level.REFUSAL, [waiver.digest])


def earlier_of(artifact):
    """Return a plan as a checkpoint's parent."""
    return (artifact.record, artifact.digest)


def forged(bench, plan, code="other-fork-point", key=OURS, **changed):
    """Put an envelope by hand, by default of a team that answers for students."""
    waiver = Waiver(
        plan=plan.digest,
        findings=(Accepted(code=code, subject="teacher.code@1"),),
        reason="because",
        at="2026-11-21T00:00:00+00:00",
    )
    payload_type = changed.pop("payload_type", PAYLOAD_TYPE)
    statement = _statement(waiver, changed.pop("store", bench.records.journal.trust.store))
    envelope = sign(canonical_json(statement | changed), key, payload_type)
    digest = bench.store.put_bytes(envelope.to_bytes())
    derivation = _derivation(waiver, digest, plan.record, bench.project)
    attestation = Attestation(derivation=derivation.digest(), output=digest, output_kind="waiver")
    Records(bench.store).write(derivation, attestation)
    return digest


def test_a_waiver_made_by_hand_counts_where_it_is_whole(bench, faculty):
    plan = propose(bench, *ASKED).artifact
    digest = forged(bench, plan)
    assert [w.digest for w in make_plan(bench, *ASKED, Level.REFUSAL, [digest]).waivers] == [digest]


@pytest.mark.parametrize("code", sorted(NEVER_WAIVED))
def test_a_hand_made_waiver_of_what_is_never_waived_is_refused(bench, faculty, code):
    plan = propose(bench, *ASKED).artifact
    with pytest.raises(NotWaivableError):
        make_plan(bench, *ASKED, Level.REFUSAL, [forged(bench, plan, code)])


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
def test_a_signed_statement_of_another_type_or_subject_is_no_waiver(bench, faculty, changed):
    plan = propose(bench, *ASKED).artifact
    with pytest.raises(LineageError):
        make_plan(bench, *ASKED, Level.REFUSAL, [forged(bench, plan, **changed)])
