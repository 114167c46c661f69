"""Only records of the project that publishes say what is published and how good it is.

Every project can attest records of any kind, and name any owner in them.
"""

import copy

import pytest

from lineage.launches.launch import Decision
from lineage.operations.verify import Verifier
from lineage.registry.registry import Registry
from lineage.rules.audit import check_audit
from lineage.rules.evidence import BrokenRuleError, Evidence
from tasks.contracts.review import record_decision
from tasks.platform.step_runner import StepRunner
from tasks.release import release as releasing
from tests.lineage.test_rules_audit import Round
from tests.support.consolidations import Consolidated
from tests.support.making import take, write_record
from tests.support.mirrors import MemoryMirror
from tests.support.runs import Climbed, Maker, taken
from tests.support.teams import Shared


@pytest.fixture
def shared(tmp_path):
    return Shared(tmp_path / "shared")


@pytest.fixture
def make(shared):
    """Return the maker of records of a team."""
    makers = {
        team: Maker(StepRunner(shared.of(team), mirror=MemoryMirror()))
        for team in ("math-team", "code-team", "foundation", "consolidation")
    }
    return makers.__getitem__


@pytest.fixture
def climbs(make):
    start = make("foundation").checkpoint(0)
    return [
        Climbed(make(f"{name}-team"), start, name, seed)
        for seed, name in enumerate(("math", "code"), 1)
    ]


@pytest.fixture
def merge(make, climbs):
    return Consolidated(make("consolidation"), climbs, 100, reviewed=True)


def approved(merge, runner):
    return record_decision(runner, merge.gated, Decision(decision="approved", way="command"))


def by_code(merge, make):
    """Return the same consolidation with all that is made from now on made by another team."""
    theirs = copy.copy(merge)
    theirs.make = make("code-team")
    return theirs


def their_report(merge, theirs):
    document = merge.make.runner.store.get_bytes(merge.gated.report.digest).decode()
    made = merge.make.runner.records.read(merge.gated.report.record)
    inputs = [(item.role, _artifact(merge, item)) for item in made.inputs]
    return theirs.make.part("gate", document, "gate", "consolidation", inputs)


def _artifact(merge, item):
    return merge.plan.artifact.model_copy(
        update={"digest": item.artifact, "record": item.record, "kind": item.role}
    )


def test_what_is_all_of_one_project_is_published(merge, make):
    approval = approved(merge, merge.make.runner)
    published = merge.publish(approval=approval)
    found = Verifier(merge.make.runner.store, None).verify(published.record)
    assert found.problems == []


@pytest.mark.medium
@pytest.mark.parametrize(
    "part", ["scorecard", "measurements", "report", "approval", "controls", "rounds"]
)
def test_what_another_project_vouches_for_is_refused(merge, make, part):
    theirs = by_code(merge, make)
    parts = {"approval": approved(merge, merge.make.runner)}
    if part == "scorecard":
        rows = merge.make.runner.records.read(merge.scorecard.record).inputs
        told = [(item.role, _artifact(merge, item), item.name) for item in rows]
        parts["scorecard"] = theirs.make.part("scorecard", "0.99", "", "consolidation", told)
    elif part == "measurements":
        mixed = theirs.card()
        rows = merge.make.runner.records.read(mixed.record).inputs
        told = [(item.role, _artifact(merge, item), item.name) for item in rows]
        parts["scorecard"] = merge.make.part("scorecard", "0.99", "", "consolidation", told)
    elif part == "report":
        parts["report"] = their_report(merge, theirs)
    elif part == "approval":
        made = merge.make.runner.records.read(parts["approval"].record)
        told = [(item.role, _artifact(merge, item)) for item in made.inputs]
        settings = {"decision": "approved"}
        parts["approval"] = theirs.make.part("approval", "yes", "approval", "", told, **settings)
    elif part == "controls":
        theirs.controls = {name: theirs._merged(name, 7) for name in merge.controls}
        changed = {f"method.{name}": each for name, each in theirs.controls.items()}
        parts["scorecard"] = merge.card(**changed)
    else:
        student = theirs._trained((None,))
        parts["scorecard"] = merge.card(**{"method.student": student})
    with pytest.raises(BrokenRuleError) as refused:
        merge.publish(**parts)
    assert refused.value.rules == {"project"}
    assert "student.general" not in Registry(merge.make.runner.store).names()


def test_another_projects_climb_in_ones_own_name_is_not_released(make, climbs):
    theirs = Climbed(make("code-team"), climbs[0].fork_point, "math", 3)  # for owner team-math
    runner = make("math-team").runner
    with pytest.raises(BrokenRuleError) as refused:
        releasing.release_teacher(runner, theirs.ladder, theirs.domain, theirs.scorecard)
    assert refused.value.rules == {"project"}


def test_an_audit_believes_retrains_of_the_student_s_project_and_its_own(shared):
    start = write_record(shared.consolidation, b"start")
    teacher = write_record(shared.math, b"teacher")
    own = Round(shared.consolidation, start, teacher, "round")
    theirs = copy.copy(own)
    theirs.store = shared.code
    for store, expected in (
        (shared.consolidation, set()),
        (shared.code, set()),
        (shared.math, {"retrains", "ledger"}),
    ):
        inputs = [take("student", own.student), take("retrain", theirs.retrain(), name="r")]
        inputs.append(take("ledger", theirs.replay()))
        record, _ = write_record(store, b"page", *inputs, kind="audit", output_kind="audit")
        if store is shared.consolidation:
            assert _rules(store, record) == {"retrains", "ledger"}  # code's, in our audit
            inputs = [take("student", own.student), take("retrain", own.retrain(), name="r")]
            inputs.append(take("ledger", own.replay()))
            record, _ = write_record(store, b"own", *inputs, kind="audit", output_kind="audit")
        assert _rules(store, record) == expected


def _rules(store, record):
    evidence = Evidence(store)
    return {breach.rule for breach in check_audit(evidence, evidence.made(record))}


def test_a_report_or_an_approval_of_another_projects_plan_is_wrong(merge, make):
    theirs = by_code(merge, make)
    report = their_report(merge, theirs)
    plan = merge.plan.artifact
    told = [taken("plan", plan), taken("gate", merge.gated.report)]
    approval, _ = write_record(theirs.make.runner.store, b"yes", *told, kind="approval")
    for record in (report.record, approval):
        found = Verifier(theirs.make.runner.store, None).verify(record)
        assert {"plan"} == {p.what.partition("]")[0].removeprefix("[") for p in found.problems}
