"""Rules of the records around a student: approvals, waivers, the gate's reports."""

from collections.abc import Iterator

from lineage.records.record import Derivation
from lineage.rules.evidence import Breach, Evidence, taken
from lineage.rules.own import is_own

WAIVER = {
    "signature": "A team that may sign students has signed the waiver, the waiver is of the "
    "record's plan, and it accepts only findings that can be waived.",
}
APPROVAL = {"plan": "An approval is of one plan and of the gate's report on it, in one project."}
GATE = {"plan": "A gate's report is of one plan, in one project."}


def check_approval(evidence: Evidence, made: Derivation) -> Iterator[Breach]:
    """Yield where an approval is of no plan, or of a report on another one."""
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
    """Yield where a gate's report is not of one recorded plan."""
    plans = taken(made, "plan")
    kinds = [evidence.made(item.record).kind if item.record else "raw" for item in plans]
    if kinds != ["plan"]:
        yield Breach("plan", f"it is of {len(plans)} plans, of the kinds {kinds}")
    elif not is_own(evidence, made, plans[0].record):
        yield Breach("plan", "the plan is another project's")
