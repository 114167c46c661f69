"""Which outcomes of earlier consolidations this store holds that a gate may learn from."""

import json
from collections.abc import Iterator

from pydantic import ValidationError

from lineage.collect import family_artifacts
from lineage.digest import canonical_json
from lineage.graph import Lineage
from lineage.recalls import Used, recalls_of
from lineage.record import Input
from lineage.registry import Registry
from tasks.gate.growth import PastOutcome
from tasks.gate.measured import ProbeResult
from tasks.gate.outcome import KIND, TeacherOutcome
from tasks.gate.probed import MEASURED
from tasks.handover import Plan, Remedy
from tasks.step import Bench


def recipe_with(recipe: str, ladder_stages: int, max_new_tokens: int) -> str:
    """Return a recipe, as ``RoundForm.recipe`` gives it, with two of its settings changed."""
    settings = json.loads(recipe)
    settings["sampling"]["max_new_tokens"] = max_new_tokens
    return canonical_json({**settings, "ladder_stages": ladder_stages}).decode()


def outcomes(bench: Bench, plan: Plan, recipe: str) -> list[PastOutcome]:
    """Return what came of earlier merges under the same settings, in the order of their records.

    Left out are the plan's own (a rerun would learn from itself), those of a student or a teacher
    that was recalled since, teachers that were helped before the merge or that nothing was expected
    of, and what another version of the gate measured. A merge that was compared twice counts once.

    Args:
        bench: Whose store is asked.
        plan: That is to be judged.
        recipe: Of the round, as ``RoundForm.recipe`` gives it: how much arrives depends on it.
    """
    lineage, registry = Lineage(bench.store), Registry(bench.store)
    found: dict[tuple[str, str], PastOutcome] = {}
    for record in lineage.index.of_kind(KIND):
        made = bench.records.read(record)
        # Another project's word about what came of a merge would change this one's verdicts.
        if made.settings.get("recipe") != recipe or made.project not in {"", bench.project}:
            continue
        asked = {item.role: item for item in made.inputs}
        planned, scorecard = _plan_of(bench, asked["gate"]), asked["scorecard"]
        if plan.artifact and planned.artifact == plan.artifact.digest:
            continue
        # Not through the gate's report, which may have learned from others.
        ends = (planned, scorecard)
        family = {record for end in ends for record in _family(lineage, end)}
        taken = family_artifacts(bench.records, family)
        taken |= {Used(end.artifact, end.record) for end in ends}
        students = lineage.index.rows(lineage.index.users(scorecard.artifact))
        if recalls_of(registry, {*taken, *(Used(row.output, row.digest) for row in students)}):
            continue
        for each in _of_record(bench, record, asked["gate"]):
            found.setdefault((scorecard.artifact, each.teacher), each)
    return list(found.values())


def _of_record(bench: Bench, record: str, gate: Input) -> Iterator[PastOutcome]:
    attested = bench.records.output(record)
    if attested is None:
        return
    rows = json.loads(bench.store.get_bytes(attested.output))
    try:
        text = (bench.store.tree(gate.artifact) / MEASURED).read_text("utf-8")
        measured = {each.name: each for each in ProbeResult.model_validate_json(text).teachers}
    except (FileNotFoundError, ValidationError):
        return  # nobody measured, or in a form that is no longer known
    for row in rows:
        outcome = TeacherOutcome.model_validate({k: v for k, v in row.items() if k != "surprised"})
        expected = outcome.predicted is not None and outcome.done is Remedy.NONE
        if expected and outcome.actual is not None and outcome.name in measured:
            yield PastOutcome(
                teacher=outcome.reference,
                record=record,
                artifact=attested.output,
                measure=measured[outcome.name],
                actual=outcome.actual,
            )


def _plan_of(bench: Bench, gate: Input) -> Input:
    """Return the plan, before the gate, that a gate's report is of."""
    [plan] = [item for item in bench.records.read(gate.record).inputs if item.role == "plan"]
    return plan


def _family(lineage: Lineage, end: Input) -> list[str]:
    return [end.record, *lineage.ancestors(end.record)]
