"""Rules of the records around a student: approvals, waivers, the gate's reports and outcomes.

An outcome sets a gate's report beside the scorecard of the same merge. One that mixed two merges
would mislead later gates.
"""

from collections.abc import Iterator

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken
from lineage.rules.measured import FORK_POINT, METHOD, TEACHER, measured
from lineage.rules.own import is_own
from lineage.rules.plan import planned

WAIVER = {
    "signature": "A team that may sign students has signed the waiver, the waiver is of the "
    "record's plan, and it accepts only findings that can be waived.",
}
APPROVAL = {"plan": "An approval is of one plan and of the gate's report on it, in one project."}
GATE = {"plan": "A gate's report is of one plan, in one project."}


def check_approval(evidence: Evidence, made: Derivation) -> Iterator[Breach]:
    """Yield a breach if an approval has no plan, or a report on another plan."""
    plans, reports = taken(made, "plan"), taken(made, "gate")
    if "by" in made.settings and not reports:
        yield Breach(
            "plan", "which of the gate's reports was read is not recorded", is_unknown=True
        )
        return
    if len(plans) != 1 or len(reports) != 1 or not plans[0].record or not reports[0].record:
        yield Breach("plan", f"it is of {len(plans)} plans and {len(reports)} reports of the gate")
        return
    if not all(is_own(evidence, made, item.record) for item in (*plans, *reports)):
        yield Breach("plan", "the plan or the gate's report is another project's")
    before = taken(evidence.made(plans[0].record), "plan")
    if taken(evidence.made(reports[0].record), "plan") != before:
        yield Breach("plan", "the gate's report is of another plan")


def check_gate(evidence: Evidence, made: Derivation) -> Iterator[Breach]:
    """Yield a breach if a gate's report is not of one recorded plan."""
    plans = taken(made, "plan")
    kinds = [evidence.made(item.record).kind if item.record else "raw" for item in plans]
    if kinds != ["plan"]:
        yield Breach("plan", f"it is of {len(plans)} plans, of the kinds {kinds}")
    elif not is_own(evidence, made, plans[0].record):
        yield Breach("plan", "the plan is another project's")


OUTCOME = {
    "merge": "Gate's report and scorecard are of one merge, in one project: the scorecard measured "
    "the plan's fork point and exactly the teachers that the gate let through.",
}


def check_outcome(evidence: Evidence, made: Derivation) -> Iterator[Breach]:
    """Yield a breach for each way in which report and scorecard are of different merges.

    Raises:
        LineageError: for a record or a plan that cannot be read.
    """
    gates, cards = taken(made, "gate"), taken(made, "scorecard")
    if len(gates) != 1 or len(cards) != 1 or not gates[0].record or not cards[0].record:
        yield Breach("merge", f"it is of {len(gates)} reports and {len(cards)} scorecards")
        return
    if not all(is_own(evidence, made, item.record) for item in (*gates, *cards)):
        yield Breach("merge", "the gate's report or the scorecard is another project's")
    gate, card = evidence.made(gates[0].record), evidence.made(cards[0].record)
    [judged] = taken(gate, "plan")
    plan = planned(evidence, artifact_of(judged, "plan"))
    own = {teacher.domain for teacher in plan.teachers if teacher.is_self}
    compared = set()
    for row in measured(evidence, card):
        domain = row.label.removeprefix(TEACHER)
        if row.label == f"{METHOD}{FORK_POINT}" and not same(row.checkpoint, plan.fork_point):
            yield Breach("merge", "the scorecard's fork point is not the plan's")
        if row.label.startswith(TEACHER):
            compared.add(domain)
            known = [each.checkpoint for each in plan.teachers if each.domain == domain]
            if domain not in own and not any(same(row.checkpoint, each) for each in known):
                yield Breach("merge", f"the scorecard's {domain} teacher is not the plan's")
    kept = _kept(gate)
    if compared - own != kept - own:
        told = f"the gate let through {sorted(kept)}, the scorecard measured {sorted(compared)}"
        yield Breach("merge", told)


def _kept(gate: Derivation) -> set[str]:
    """Return the domains of the teachers that a gate's report did not drop."""
    teachers = gate.settings.get("teachers")
    return {
        str(each.get("domain"))
        for each in (teachers if isinstance(teachers, list) else [])
        if isinstance(each, dict) and each.get("done") != "drop"
    }


REMEDY = {
    "merge": "A remedy's measurement is of one plan, in one project: the student before and after "
    "the remedy and each remedied teacher answered the plan's validation prompts.",
}


def check_remedy(evidence: Evidence, made: Derivation) -> Iterator[Breach]:
    """Yield a breach for each part of a remedy's measurement that is of something else.

    Raises:
        LineageError: for a record or a plan that cannot be read.
    """
    plans, students = taken(made, "plan"), taken(made, "student")
    if len(plans) != 1 or len(students) != 1 or not plans[0].record:
        yield Breach("merge", f"it is of {len(plans)} plans and {len(students)} students")
        return
    if not all(is_own(evidence, made, item.record) for item in made.inputs):
        yield Breach("merge", "a part of it is another project's")
    plan = planned(evidence, artifact_of(plans[0], "plan"))
    for teacher in plan.teachers:
        for role, checkpoint in (
            ("score.start", plan.student),
            ("score.student", artifact_of(students[0])),
            ("score.teacher", teacher.checkpoint),
        ):
            for item in taken(made, role, teacher.name):
                if not _answered(evidence, item, checkpoint, teacher.validation):
                    what = f"{role} of {teacher.name} is of another checkpoint or other prompts"
                    yield Breach("merge", what)
    names = {item.name for item in made.inputs if item.role.startswith("score.")}
    if strangers := sorted(names - {teacher.name for teacher in plan.teachers}):
        yield Breach("merge", f"the plan has no teachers {strangers}")


def _answered(evidence: Evidence, item: Input, checkpoint: Artifact, prompts: Artifact) -> bool:
    """Return whether scores are those of a checkpoint on a set of prompts."""
    made = evidence.made(item.record) if item.record else None
    if made is None or made.kind != "validation":
        return False
    pairs = ((taken(made, "checkpoint"), checkpoint), (taken(made, "prompts"), prompts))
    return all(len(found) == 1 and same(found[0], wanted) for found, wanted in pairs)
