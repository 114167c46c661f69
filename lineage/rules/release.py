"""Rules of a release: one team's climb in one domain, measured, as its records say."""

from collections.abc import Iterator

from lineage.artifacts import Artifact, Release
from lineage.records.record import Derivation
from lineage.records.system_prompt import named_system_prompt, read_system_prompts
from lineage.rules.evidence import Breach, Evidence, artifact_of, same, taken
from lineage.rules.measured import FORK_POINT, METHOD, TEACHER, StoredMeasurement, measured
from lineage.rules.own import RELEASE as RELEASE_OWN
from lineage.rules.own import check_own_release

RULES = {
    "parts": "Each part of the manifest is an input of the release's record, and its own record "
    "gave it.",
    "owner": "The owner of the manifest is attested as the owner of the teacher, its ladder, "
    "precursor, data, environment and scorecard.",
    "project": RELEASE_OWN,
    "ladder": "The rungs are one run, stopped at their steps; the last one is the teacher.",
    "imported": "The import of a teacher that was trained elsewhere declares the manifest's fork "
    "point, domain and facts.",
    "precursor": "The climb starts from the precursor that the manifest declares.",
    "fork-point": "The precursor comes from the declared fork point.",
    "learned": "A supervised stage between fork point and precursor took the declared data.",
    "domain": "Climb, prompts, demonstrations and sketches are of the manifest's domain and "
    "environment.",
    "system-prompt": "Climb and scorecard had the teacher read the system prompt of the manifest.",
    "scorecard": "The scorecard compares the teacher with the fork point, on the release's "
    "evaluation prompts in its environment.",
}
STOP_AT = "stop_at"
CLIMBS = frozenset({"rl", "rung", "external"})
"""Kinds of the records of a climb's rungs; an external one is by a command of the team's."""
ROUND = "mopd"
"""Kind of the record of a round's student."""
IMPORT = "import"
"""Kind of the record of a checkpoint that was trained elsewhere."""
DECLARED_START = "declared_start"
"""Role of the checkpoint from which such a one was trained, according to its team."""


def check_release(evidence: Evidence, made: Derivation, release: Release) -> Iterator[Breach]:
    """Yield the rules that a release breaks by its records.

    Raises:
        LineageError: for a record that cannot be read.
    """
    yield from _parts(evidence, made, release)
    yield from _owner(evidence, release)
    yield from check_own_release(evidence, made, release)
    yield from _ladder(evidence, release)
    yield from _imported(evidence, release)
    yield from _ancestry(evidence, release)
    yield from _learned(evidence, release)
    yield from _domain(evidence, release)
    yield from _scorecard(evidence, release)


def _parts(evidence: Evidence, made: Derivation, release: Release) -> Iterator[Breach]:
    for part, artifact in release.artifacts().items():
        if not any(same(item, artifact) for item in taken(made, part)):
            yield Breach("parts", f"{part} is {artifact.digest}, which its record does not take")
        elif not evidence.gave(artifact):
            yield Breach("parts", f"{part} is {artifact.digest}, which no record of it gave")
    if release.sft is None:
        return
    sketches = [i for i in taken(made, "sft.sketches") if i.artifact == release.sft.sketches]
    if not sketches:
        yield Breach("parts", f"its record does not take the sketches {release.sft.sketches}")
    for item in sketches:
        of = taken(evidence.made(item.record), "data") if item.record else []
        if not any(same(data, release.sft.data) for data in of):
            yield Breach("parts", f"the sketches {item.artifact} are of other data than its own")


def _owner(evidence: Evidence, release: Release) -> Iterator[Breach]:
    """The fork point is another team's; all else was made for the owner."""
    for part, artifact in release.artifacts().items():
        if artifact == release.fork_point:
            continue
        owners = evidence.owners(artifact)
        if owners and release.owner not in owners:
            told = " or ".join(sorted(owner or "nobody" for owner in owners))
            yield Breach("owner", f"{part} was made for {told}, and the owner is {release.owner}")


def _ladder(evidence: Evidence, release: Release) -> Iterator[Breach]:
    if release.kind != "rl":
        return
    if release.ladder[-1].checkpoint != release.checkpoint:
        yield Breach("ladder", "its last rung is not the teacher")
    runs = set()
    for rung in release.ladder:
        if not rung.checkpoint.record:
            yield Breach("ladder", f"no record says how the rung of step {rung.step} was made")
            continue
        made = evidence.made(rung.checkpoint.record)
        if made.kind not in CLIMBS or made.settings.get(STOP_AT) != rung.step:
            yield Breach(
                "ladder",
                f"the rung of step {rung.step} is of kind {made.kind}, stopped at "
                f"{made.settings.get(STOP_AT)}",
            )
        runs.add(_run(made))
    if len(runs) > 1:
        yield Breach("ladder", f"its rungs are of {len(runs)} different runs")


def _run(rung: Derivation) -> str:
    """Return the identity of the run that a rung was a part of."""
    settings = {name: value for name, value in rung.settings.items() if name != STOP_AT}
    return rung.model_copy(update={"kind": "rl", "settings": settings}).digest()


def _imported(evidence: Evidence, release: Release) -> Iterator[Breach]:
    """Yield where an imported teacher's record declares something else than its release."""
    if release.kind != "imported":
        return
    if not release.checkpoint.record:
        yield Breach("imported", "no record says how it was imported")
        return
    made = evidence.made(release.checkpoint.record)
    if made.kind != IMPORT:
        yield Breach("imported", f"its checkpoint is of kind {made.kind}, not {IMPORT}")
    if not any(same(item, release.fork_point) for item in taken(made, DECLARED_START)):
        yield Breach(
            "imported", f"its import does not declare the fork point {release.fork_point.digest}"
        )
    declared = release.declared.model_dump(mode="json") if release.declared else None
    if (made.settings.get("domain"), made.settings.get("declared")) != (release.domain, declared):
        yield Breach("imported", "its import declares another domain, or other facts")


def _ancestry(evidence: Evidence, release: Release) -> Iterator[Breach]:
    """The teacher comes from the precursor, the precursor from the fork point."""
    if release.kind != "rl":
        return
    for rule, later, earlier, told in (
        ("precursor", release.checkpoint, release.precursor, "the teacher, from the precursor"),
        ("fork-point", release.precursor, release.fork_point, "the precursor, from the fork point"),
    ):
        if not any(same(each, earlier) for each in starts(evidence, later)):
            yield Breach(rule, f"by record it does not come, {told} {earlier.digest}")


def _learned(evidence: Evidence, release: Release) -> Iterator[Breach]:
    if release.kind != "rl" or release.sft is None:
        return
    stages = [
        evidence.made(each.record) for each in starts(evidence, release.precursor) if each.record
    ]
    if not any(same(item, release.sft.data) for made in stages for item in taken(made, "data")):
        yield Breach("learned", f"the precursor never learned from {release.sft.data.digest}")


def starts(evidence: Evidence, artifact: Artifact) -> Iterator[Artifact]:
    """Yield an artifact, what it was trained from, what that was trained from, and so on."""
    seen: set[str] = set()
    current: Artifact | None = artifact
    while current is not None and current.record not in seen:
        yield current
        seen.add(current.record)
        current = _start_of(evidence.made(current.record)) if current.record else None


def _start_of(made: Derivation) -> Artifact | None:
    """Return the checkpoint that a stage, or a round of MOPD, trained; None for neither."""
    found = taken(made, "student" if made.kind == ROUND else "start")
    return artifact_of(found[0]) if found else None


def _domain(evidence: Evidence, release: Release) -> Iterator[Breach]:
    yield from _data(evidence, release)
    if release.kind != "rl" or not release.checkpoint.record:
        return
    made = evidence.made(release.checkpoint.record)
    if made.settings.get("domain") != release.domain:
        told = made.settings.get("domain")
        yield Breach("domain", f"the teacher climbed in {told}, and the domain is {release.domain}")
    if read_system_prompts(made) != named_system_prompt(release.system_prompt):
        yield Breach("system-prompt", "the teacher climbed with another than that of the manifest")
    for role, part in (("prompts", release.prompts.train), ("environment", release.environment)):
        if not any(same(item, part) for item in taken(made, role)):
            yield Breach("domain", f"the teacher did not climb on the {role} {part.digest}")


def _data(evidence: Evidence, release: Release) -> Iterator[Breach]:
    for part, artifact, split in (
        ("prompts.train", release.prompts.train, "train"),
        ("prompts.validation", release.prompts.validation, "validation"),
        ("evaluation", release.evaluation, "evaluation"),
        *([("sft.data", release.sft.data, "train")] if release.sft else []),
    ):
        if not artifact.record:
            yield Breach("domain", f"no record says how {part} was made", is_unknown=True)
            continue
        made = evidence.made(artifact.record)
        of = (made.settings.get("domain"), made.settings.get("split"))
        if of != (release.domain, split):
            yield Breach("domain", f"{part} is of {of[0]} {of[1]}, not of {release.domain} {split}")
        if not any(same(item, release.environment) for item in taken(made, "environment")):
            yield Breach("domain", f"{part} was made by another environment than the release's")


def _scorecard(evidence: Evidence, release: Release) -> Iterator[Breach]:
    if not release.scorecard.record:
        yield Breach("scorecard", "no record says what the scorecard measured")
        return
    found = measured(evidence, evidence.made(release.scorecard.record))
    for label, checkpoint in (
        (f"{METHOD}{FORK_POINT}", release.fork_point),
        (f"{TEACHER}{release.domain}", release.checkpoint),
    ):
        of = [each for each in found if (each.label, each.domain) == (label, release.domain)]
        if len(of) != 1:
            yield Breach("scorecard", f"it has {len(of)} measurements labeled {label}, not one")
            continue
        yield from _measurement(of[0], label, checkpoint, release)
        read = release.system_prompt if checkpoint is release.checkpoint else ""
        if of[0].system_prompts != named_system_prompt(read):
            yield Breach("system-prompt", f"{label} was measured with another than the manifest's")


def _measurement(
    found: StoredMeasurement, label: str, checkpoint: Artifact, release: Release
) -> Iterator[Breach]:
    for what, is_now, wanted in (
        ("checkpoint", found.checkpoint, checkpoint),
        ("prompts", found.prompts, release.evaluation),
        ("environment", found.environment, release.environment),
    ):
        if not same(is_now, wanted):
            yield Breach(
                "scorecard",
                f"{label} was measured with the {what} {is_now.digest}, not {wanted.digest}",
            )
