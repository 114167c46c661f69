"""Rules of a student: one plan that passed the gate, its rounds and their scores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from lineage.artifacts import Artifact, Student
from lineage.launches.waiver import NEVER_WAIVED, parse_waiver
from lineage.records.record import Derivation
from lineage.records.system_prompt import named_system_prompt, read_system_prompts
from lineage.rules.controls import RULE as CONTROLS
from lineage.rules.controls import check_controls
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken
from lineage.rules.measured import (
    FORK_POINT,
    METHOD,
    STUDENT,
    TEACHER,
    StoredMeasurement,
    check_tokens,
    measured,
)
from lineage.rules.own import STUDENT as STUDENT_OWN
from lineage.rules.own import check_own_student
from lineage.rules.plan import Planned, planned

RULES = {
    "parts": "Each part of the manifest, the plan, the releases and the waivers are inputs of the "
    "student's record, and their own records gave them.",
    "owner": "The owner of the manifest is attested as the owner of the checkpoint, the scorecard "
    "and the controls.",
    "project": STUDENT_OWN,
    "plan": "Teachers, shares and fork point are those of the plan.",
    "rounds": "The checkpoint came of MOPD rounds from the plan's start, perhaps warmed up, with "
    "the plan's teachers and prompts.",
    "settings": "The settings are those of the last round.",
    "tokens": "The tokens that each teacher scored are those that the rounds counted.",
    "gate": "The gate's report is of the plan.",
    "passed": "Every refusal among the plan's findings can be waived, and a waiver of this plan, "
    "or of the plan before the gate, accepts it.",
    "approval": "Where the plan was to be reviewed, an approval of it is recorded.",
    "controls": CONTROLS,
    "scorecard": "The scorecard measured the checkpoint, the controls, the fork point and the "
    "teachers on the evaluation prompts of every domain of the plan.",
}


def check_student(evidence: Evidence, made: Derivation, student: Student) -> Iterator[Breach]:
    """Yield the rules that a student breaks by its records.

    Raises:
        LineageError: for a record or a plan that cannot be read.
    """
    yield from _parts(evidence, made, student)
    found = taken(made, "plan")
    if len(found) != 1 or found[0].artifact != student.plan or not found[0].record:
        yield Breach("plan", f"its record takes {len(found)} plans, and not {student.plan} alone")
        return
    plan = planned(evidence, artifact_of(found[0], "plan"))
    yield from _owner(evidence, student)
    yield from check_own_student(evidence, made, student, plan)
    yield from _teachers(made, student, plan)
    yield from _gate(evidence, made, plan)
    yield from _passed(evidence, student, plan)
    yield from _approval(evidence, made, plan)
    rounds = walk(evidence, student.checkpoint, plan)
    yield from rounds.breaches
    yield from _settings(evidence, student)
    yield from check_tokens(evidence, student, plan)
    yield from check_controls(evidence, student, plan, rounds.start)
    yield from _scorecard(evidence, student, plan)


def _parts(evidence: Evidence, made: Derivation, student: Student) -> Iterator[Breach]:
    for part, artifact in student.artifacts().items():
        if not any(same(item, artifact) for item in taken(made, part)):
            yield Breach("parts", f"{part} is {artifact.digest}, which its record does not take")
        elif not evidence.gave(artifact):
            yield Breach("parts", f"{part} is {artifact.digest}, which no record of it gave")
    for role, told in (
        ("release.", {share.release for share in student.teachers}),
        ("waiver[", set(student.waivers)),
    ):
        is_now = {item.artifact for item in made.inputs if item.role.startswith(role)}
        if is_now != told:
            yield Breach("parts", f"its record takes other inputs {role}... than it names")


def _owner(evidence: Evidence, student: Student) -> Iterator[Breach]:
    for part, artifact in student.artifacts().items():
        owners = evidence.owners(artifact)
        if part != "fork_point" and owners and student.owner not in owners:
            told = " or ".join(sorted(owner or "nobody" for owner in owners))
            yield Breach("owner", f"{part} was made for {told}, and the owner is {student.owner}")


def _teachers(made: Derivation, student: Student, plan: Planned) -> Iterator[Breach]:
    yield from plan.breaches
    told = sorted((s.domain, s.release, s.reference, s.weight) for s in student.teachers)
    is_now = sorted((t.domain, t.release.digest, t.reference, t.share) for t in plan.teachers)
    if told != is_now:
        yield Breach("plan", f"its teachers {told} are not the plan's, {is_now}")
    if not same(student.fork_point, plan.fork_point):
        yield Breach("plan", f"its fork point is not the plan's, {plan.fork_point.digest}")
    for teacher in plan.teachers:
        if not any(same(i, teacher.release) for i in taken(made, f"release.{teacher.name}")):
            yield Breach("parts", f"its record does not take the release of {teacher.name}")


def _gate(evidence: Evidence, made: Derivation, plan: Planned) -> Iterator[Breach]:
    """The gate judged the plan that this one was made from."""
    if plan.before is None:
        yield Breach("gate", f"the plan {plan.artifact.digest} did not go through the gate")
        return
    found = taken(made, "gate")
    if not found:
        yield Breach("gate", "the gate's report is not recorded as its input", is_unknown=True)
    for item in found:
        judged = evidence.made(item.record) if item.record else None
        if judged is None or judged.kind != "gate" or not _is_of(judged, plan.before):
            yield Breach("gate", f"the gate's report {item.artifact} is of another plan")
        elif _looked(judged) != _looked(plan.made):
            yield Breach("gate", f"the gate's report {item.artifact} is of another measurement")


def _is_of(made: Derivation, plan: Artifact) -> bool:
    """Say whether something is of this one plan."""
    return [(i.artifact, i.record) for i in taken(made, "plan")] == [(plan.digest, plan.record)]


def _looked(made: Derivation) -> list[str]:
    return sorted(item.artifact for item in taken(made, "probe"))


def _passed(evidence: Evidence, student: Student, plan: Planned) -> Iterator[Breach]:
    """Who signed a waiver is looked at elsewhere; here, what it accepts."""
    plans = {plan.artifact.digest} | ({plan.before.digest} if plan.before else set())
    accepted = set()
    for digest in student.waivers:
        waiver = parse_waiver(digest, evidence.bytes(digest))
        if waiver.plan not in plans:
            yield Breach("passed", f"the waiver {digest} is of another plan, {waiver.plan}")
            continue
        accepted |= {(found.code, found.subject) for found in waiver.findings}
    for finding in plan.findings:
        if finding.severity != "refusal":
            continue
        if finding.code in NEVER_WAIVED or (finding.code, finding.subject) not in accepted:
            told = f"the plan was refused: {finding.subject} [{finding.code}]"
            yield Breach("passed", f"{told}, and no waiver of it counts")


def _approval(evidence: Evidence, made: Derivation, plan: Planned) -> Iterator[Breach]:
    if plan.is_reviewed is None:
        yield Breach("approval", "whether the plan was reviewed is not recorded", is_unknown=True)
    found = taken(made, "approval")
    if plan.is_reviewed and not found:
        yield Breach("approval", "the plan was to be reviewed, and no approval is recorded")
    for item in found:
        approved = evidence.made(item.record) if item.record else None
        if approved is None or not _approves(approved) or not _is_of(approved, plan.artifact):
            yield Breach("approval", f"{item.artifact} is not an approval of this plan")


def _approves(made: Derivation) -> bool:
    """Return whether a record is an approval; older versions kept them as a review."""
    decision = made.settings.get("decision")
    return made.kind == "review" or (made.kind == "approval" and decision == "approved")


@dataclass(frozen=True)
class Rounds:
    """The rounds that led to a student."""

    start: Artifact | None
    """Artifact that the first round began with; None if unknown."""
    breaches: tuple[Breach, ...]


def walk(evidence: Evidence, student: Artifact, plan: Planned) -> Rounds:
    """Follow the rounds from a student back to the plan's start.

    Raises:
        LineageError: for a record that cannot be read.
    """
    breaches: list[Breach] = []
    current, seen = student, set[str]()
    while not same(current, plan.student):
        made = evidence.made(current.record) if current.record else None
        if made is None or current.record in seen or made.kind not in {"mopd", "warm_up"}:
            kind = made.kind if made else "raw"
            what = f"{current.digest} is of kind {kind}: neither a round nor the plan's start"
            return Rounds(None, (*breaches, Breach("rounds", what)))
        seen.add(current.record)
        if made.kind == "warm_up":
            return Rounds(current, (*breaches, *_warm_ups(evidence, made, plan)))
        breaches += _round(made, plan)
        current = artifact_of(taken(made, "student")[0])
    if not seen:
        breaches.append(Breach("rounds", "the student is the plan's start: it has no round"))
    return Rounds(current, tuple(breaches))


def _round(made: Derivation, plan: Planned) -> Iterator[Breach]:
    start = artifact_of(taken(made, "student")[0])
    teachers = {t.name: start if t.is_self else t.checkpoint for t in plan.teachers}
    for role, parts in (
        ("teacher", teachers),
        ("prompts", {domain: lead.train for domain, lead in plan.leads.items()}),
        ("environment", {domain: lead.environment for domain, lead in plan.leads.items()}),
    ):
        told = {item.name: (item.artifact, item.record) for item in taken(made, role)}
        if told != {name: (part.digest, part.record) for name, part in parts.items()}:
            yield Breach("rounds", f"a round took other inputs as {role} than the plan's")
    read = sorted(
        each for t in plan.teachers for each in named_system_prompt(t.system_prompt, t.name)
    )
    if read_system_prompts(made) != read:
        yield Breach("rounds", "the teachers of a round read other system prompts than the plan's")


def _warm_ups(evidence: Evidence, made: Derivation, plan: Planned) -> Iterator[Breach]:
    """Follow the cycles of a warm-up, from the last one back to the plan's student."""
    known = {t.name: t.checkpoint for t in plan.teachers}
    while True:
        for item in taken(made, "teacher"):
            if item.name not in known or not same(item, known[item.name]):
                yield Breach("rounds", f"the warm-up took {item.name} from elsewhere than the plan")
        starts = taken(made, "start")
        if any(same(item, plan.student) for item in starts):
            return
        before = evidence.made(starts[0].record) if len(starts) == 1 and starts[0].record else None
        if before is None or before.kind != "warm_up":
            yield Breach("rounds", "the warm-up did not start from the plan's student")
            return
        made = before


def _settings(evidence: Evidence, student: Student) -> Iterator[Breach]:
    made = evidence.made(student.checkpoint.record)
    if student.settings != settings_of(made):
        yield Breach("settings", "its settings are not those of the round that made it")


def settings_of(made: Derivation) -> Mapping[str, JsonValue]:
    """Return the settings that a student of this round has in its manifest."""
    return {"kind": made.kind, "seed": made.seed, **made.settings}


def _scorecard(evidence: Evidence, student: Student, plan: Planned) -> Iterator[Breach]:
    if not student.scorecard.record:
        yield Breach("scorecard", "no record says what the scorecard measured")
        return
    rows = measured(evidence, evidence.made(student.scorecard.record))
    compared = {
        f"{METHOD}{STUDENT}": student.checkpoint,
        f"{METHOD}{FORK_POINT}": student.fork_point,
        **{f"{METHOD}{name}": control for name, control in student.controls.items()},
        **{f"{TEACHER}{domain}": lead.checkpoint for domain, lead in plan.leads.items()},
    }
    others = sorted({row.label for row in rows} ^ compared.keys())
    if others:
        yield Breach("scorecard", f"it compares other models than the student has: {others}")
    for label, checkpoint in compared.items():
        yield from _row([row for row in rows if row.label == label], label, checkpoint, plan)


def _row(
    rows: list[StoredMeasurement], label: str, checkpoint: Artifact, plan: Planned
) -> Iterator[Breach]:
    if sorted(row.domain for row in rows) != sorted(plan.leads):
        yield Breach("scorecard", f"{label} was not measured once on every domain of the plan")
        return
    for row in rows:
        lead = plan.leads[row.domain]
        if not same(row.checkpoint, checkpoint):
            what = f"{label} is {row.checkpoint.digest} and not {checkpoint.digest}"
            yield Breach("scorecard", f"{what} on {row.domain}")
        own = lead.system_prompt if label == f"{TEACHER}{row.domain}" else ""
        if row.system_prompts != named_system_prompt(own):
            yield Breach("scorecard", f"{label} read another system prompt on {row.domain}")
        if not same(row.prompts, lead.evaluation) or not same(row.environment, lead.environment):
            yield Breach(
                "scorecard", f"{label} was not measured on the plan's {row.domain} prompts"
            )
