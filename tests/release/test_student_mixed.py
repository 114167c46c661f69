"""Inputs of two consolidations are refused before anything is written, or recorded as they are."""

import itertools

import pytest

from lineage.artifacts import Artifact, Student, put_manifest, read_manifest
from lineage.compatibility.checks import Finding
from lineage.errors import LineageError, RecalledError
from lineage.launches.launch import Decision
from lineage.operations.verify import Verifier
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.rules.evidence import BrokenRuleError
from tasks.contracts.handover import Remedy
from tasks.contracts.planned import refuse_changed
from tasks.contracts.review import record_approval, record_decision
from tests.support.consolidations import Consolidated
from tests.support.making import take, write_record
from tests.support.runs import Climbed


@pytest.fixture
def runner(make):
    return make.runner


@pytest.fixture
def merge(consolidated):
    return consolidated


def written(runner):
    registry = Registry(runner.store)
    names = registry.names()
    return runner.records.all(), [entry for name in names for entry in registry.versions(name)]


def wrong(runner, record):
    """Return the rules that verify finds broken."""
    found = Verifier(runner.store, None).verify(record)
    return {problem.what.partition("]")[0].removeprefix("[") for problem in found.problems}


def test_a_short_rounds_checkpoint_with_a_good_runs_card_is_wrong_under_any_signer(runner, merge):
    """Finding C3: student.general@2 was a two-step checkpoint with the good run's scorecard."""
    good, short = merge(), merge(200)
    manifest = read_manifest(runner.store, good.publish().digest, Student)
    forged = manifest.model_copy(update={"checkpoint": short.student})
    parts = {
        **forged.artifacts(),
        "plan": good.plan.artifact,
        "gate": good.gated.report,
        **{f"release.{t.name}": t.release for t in good.teachers},
    }
    inputs = [take(role, (part.record, part.digest)) for role, part in sorted(parts.items())]
    digest = put_manifest(runner.store, forged)
    record, _ = write_record(
        runner.store, b"", *inputs, kind="student", output=digest, output_kind="student"
    )
    assert wrong(runner, record) == {"scorecard", "settings"}


def test_a_short_rounds_scorecard_publishes_the_short_rounds_checkpoint(runner, merge):
    """The same mixture at the task, of one plan: what is published is what was measured."""
    good, short = merge(), merge(200)
    published = good.publish(scorecard=good.card(**{"method.student": short.student}))
    manifest = read_manifest(runner.store, published.digest, Student)
    assert manifest.checkpoint.digest == short.student.digest
    assert manifest.settings["of"] == 200
    assert wrong(runner, published.record) == set()


@pytest.mark.parametrize("place", range(1, 7))
def test_any_mixture_of_two_plans_inputs_is_refused(runner, make, climbs, merge, place):
    """Another consolidation: of one of the teachers alone, by another plan."""
    one, other = merge(), Consolidated(make, climbs[:1], 300)
    runs, before = (one, other), written(runner)
    plan, report, card = (runs[(place >> shift) & 1] for shift in range(3))
    with pytest.raises(BrokenRuleError):
        plan.publish(report=report.gated.report, scorecard=card.scorecard)
    assert written(runner) == before


def test_every_checkpoint_of_another_consolidation_in_a_scorecard_is_refused(runner, merge):
    one, other = merge(), merge(200)
    start = one.teachers[0].checkpoint
    swapped = {
        "method.fork_point": start,
        "method.parameter_average": other.student,
        "teacher.math": one.teachers[1].checkpoint,
    }
    before = written(runner)
    for count in range(1, len(swapped) + 1):
        for labels in itertools.combinations(swapped, count):
            card = one.card(**{label: swapped[label] for label in labels})
            known = set(Records(runner.store).all())
            with pytest.raises(BrokenRuleError) as refused:
                one.publish(scorecard=card)
            assert refused.value.rules <= {"scorecard", "controls"}
            assert set(Records(runner.store).all()) == known
    assert written(runner)[1] == before[1]


def test_a_plan_that_did_not_go_through_the_gate_is_refused(merge):
    made = merge()
    [before] = [
        item
        for item in made.make.runner.records.read(made.plan.artifact.record).inputs
        if item.role == "plan"
    ]
    plan = Artifact(kind="plan", digest=before.artifact, record=before.record)
    with pytest.raises(BrokenRuleError) as refused:
        made.publish(plan=made.plan.model_copy(update={"artifact": plan}))
    assert refused.value.rules == {"gate"}


def test_a_plan_that_was_refused_is_refused_here_too(merge):
    note = Finding(
        code="other-template", severity="refusal", subject="m", evidence="e", next_step="n"
    )
    with pytest.raises(BrokenRuleError) as refused:
        merge(notes=[note]).publish()
    assert refused.value.rules == {"passed"}


def test_a_reviewed_plan_needs_the_record_of_its_approval(runner, merge):
    made, other = merge(reviewed=True), merge(200, reviewed=True)
    with pytest.raises(BrokenRuleError) as refused:
        made.publish()
    assert refused.value.rules == {"approval"}
    strange = record_approval(runner, other.gated).approval
    with pytest.raises(BrokenRuleError) as refused:
        made.publish(approval=strange)
    assert refused.value.rules == {"approval"}
    rejected = record_decision(runner, made.gated, Decision(decision="rejected", way="command"))
    with pytest.raises(BrokenRuleError) as refused:
        made.publish(approval=rejected)
    assert refused.value.rules == {"approval"}
    approved = record_approval(runner, made.gated)
    published = made.publish(approval=approved.approval)
    inputs = {item.role: item.artifact for item in runner.records.read(published.record).inputs}
    assert inputs["approval"] == approved.approval.digest
    assert wrong(runner, published.record) == set()


def test_a_report_on_another_plan_is_not_approved_as_one_thing(runner, make, climbs, merge):
    made, other = merge(reviewed=True), Consolidated(make, climbs[:1], 300)
    mixed = made.gated.model_copy(update={"report": other.gated.report})
    with pytest.raises(BrokenRuleError):
        record_approval(runner, mixed)


def test_a_plan_that_was_changed_on_the_way_is_refused(runner, merge):
    plan = merge().plan
    refuse_changed(runner, plan)
    teachers = [plan.teachers[0].model_copy(update={"checkpoint": plan.student})]
    for changed in (
        {"teachers": teachers},
        {"reviewed": True},
        {"student": plan.teachers[0].train},
    ):
        with pytest.raises(LineageError):
            refuse_changed(runner, plan.model_copy(update=changed))


def compared(runner, gate, card):
    """Return the rules that a comparison of what one gate expected with a scorecard breaks."""
    made = runner.records.read(gate.gated.report.record)
    verdicts = [each.model_dump(mode="json") for each in gate.gated.teachers]
    inputs = [item for item in made.inputs if item.role == "plan"]
    report = write_record(runner.store, b"", *inputs, kind="gate", teachers=verdicts)
    scores = (card.scorecard.record, card.scorecard.digest)
    taken = [take("gate", report), take("scorecard", scores)]
    return wrong(runner, write_record(runner.store, b"", *taken, kind="gate_outcome")[0])


@pytest.mark.medium
def test_what_a_gate_expected_is_compared_with_its_own_merge(runner, make, climbs, merge):
    one, other = merge(), Consolidated(make, climbs[:1], 300)
    assert compared(runner, one, one) == compared(runner, other, other) == set()
    assert compared(runner, one, other) == compared(runner, other, one) == {"merge"}
    dropped = merge(400)
    left = dropped.gated.teachers[1].model_copy(update={"done": Remedy.DROP})
    dropped.gated = dropped.gated.model_copy(update={"teachers": [one.gated.teachers[0], left]})
    assert compared(runner, dropped, other) == set()
    another = Climbed(make, make.checkpoint(70), "math", 8)
    assert compared(runner, other, Consolidated(make, [another], 500)) == {"merge"}


def test_a_teacher_that_was_recalled_while_the_round_ran_ends_the_publication(runner, merge):
    made = merge()
    Registry(runner.store).recall("teacher.math", 1, by="team-math", reason="leak")
    before = written(runner)
    with pytest.raises(RecalledError):
        made.publish()
    assert written(runner) == before


def test_a_manifest_that_claims_other_tokens_than_its_rounds_counted_is_wrong(runner, merge):
    made = merge(tokens=[{"math": 120, "code": 7}])
    good = made.publish()
    assert wrong(runner, good.record) == set()
    manifest = read_manifest(runner.store, good.digest, Student)
    shares = [share.model_copy(update={"tokens_routed": 60}) for share in manifest.teachers]
    forged = manifest.model_copy(update={"teachers": tuple(shares)})
    inputs = runner.records.read(good.record).inputs
    digest = put_manifest(runner.store, forged)
    record, _ = write_record(
        runner.store, b"", *inputs, kind="student", output=digest, output_kind="student"
    )
    assert wrong(runner, record) == {"tokens"}
