"""Outcomes of earlier merges with the same settings: what came of teachers after their verdicts.

They change no verdict: teachers that passed a gate are a selected sample. They are shown beside the
gate's page, because they say how much arrives in this store with these settings. They are not in
the page, which is recorded: a gate is found again, whatever other merges came to meanwhile.
"""

import json
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from lineage.compatibility.collect import family_artifacts
from lineage.digest import canonical_json
from lineage.frozen import respelled_deep
from lineage.graph.graph import Lineage
from lineage.records.record import Input
from lineage.registry.registry import Registry
from lineage.registry.valid_recalls import Used, recalls_of
from tasks.contracts.handover import Plan, Remedy, Verdict
from tasks.gate.measured import GateDocument
from tasks.gate.outcome import KIND, TeacherOutcome
from tasks.platform.step_runner import StepRunner
from tasks.reports.rendering import render


class PastOutcome(GateDocument):
    """One teacher of an earlier consolidation: its verdict and its result."""

    teacher: str
    """Release of the teacher, such as teacher.math@3."""
    record: str
    """Record of the comparison."""
    verdict: Verdict
    done: Remedy
    actual: float
    """The student's normalized score in the teacher's domain."""


def recipe_with(recipe: str, ladder_stages: int, max_new_tokens: int) -> str:
    """Return a recipe in the form of ``RoundForm.recipe``, with two of its settings changed."""
    settings = json.loads(recipe)
    settings["sampling"]["max_new_tokens"] = max_new_tokens
    return canonical_json({**settings, "ladder_stages": ladder_stages}).decode()


def _present(recipe: JsonValue) -> JsonValue:
    """Return a recorded recipe with the present names of its settings."""
    if not isinstance(recipe, str) or not recipe:
        return recipe
    return canonical_json(respelled_deep(json.loads(recipe))).decode()


def outcomes(runner: StepRunner, plan: Plan, recipe: str) -> list[PastOutcome]:
    """Return the outcomes of earlier merges with the same settings, in the order of their records.

    These outcomes are left out: the plan's own, those of a recalled student or teacher, and of
    teachers without a result. A merge that was compared twice counts once.

    Args:
        runner: The runner of the store.
        plan: The plan that is judged.
        recipe: Settings of the round, from ``RoundForm.recipe``; the kept share depends on them.
    """
    lineage, registry = Lineage(runner.store), Registry(runner.store)
    found: dict[tuple[str, str], PastOutcome] = {}
    for record in lineage.index.of_kind(KIND):
        comparison = runner.records.read(record)
        if _present(comparison.settings.get("recipe")) != recipe:
            continue
        # Another project's word about what came of a merge says nothing here.
        if comparison.project not in {"", runner.project}:
            continue
        inputs = {item.role: item for item in comparison.inputs}
        planned, scorecard = _plan_of(runner, inputs["gate"]), inputs["scorecard"]
        if plan.artifact and planned.artifact == plan.artifact.digest:
            continue
        # Not through the gate's report: in older stores its inputs are outcomes of others.
        ends = (planned, scorecard)
        family = {record for end in ends for record in _family(lineage, end)}
        taken = family_artifacts(runner.records, family)
        taken |= {Used(end.artifact, end.record) for end in ends}
        users = lineage.index.rows(lineage.index.users(scorecard.artifact))
        # What others made of the scorecard, and recalled, says nothing about the merge.
        students = [
            row for row in users if runner.records.read(row.digest).project in {"", runner.project}
        ]
        if recalls_of(registry, {*taken, *(Used(row.output, row.digest) for row in students)}):
            continue
        for each in _of_record(runner, record):
            found.setdefault((scorecard.artifact, each.teacher), each)
    return list(found.values())


def _of_record(runner: StepRunner, record: str) -> Iterator[PastOutcome]:
    attested = runner.records.output(record)
    if attested is None:
        return
    for row in json.loads(runner.store.get_bytes(attested.output)):
        outcome = TeacherOutcome.model_validate(row)
        if outcome.actual is not None:
            yield PastOutcome(
                teacher=outcome.reference,
                record=record,
                verdict=outcome.verdict,
                done=outcome.done,
                actual=outcome.actual,
            )


def _plan_of(runner: StepRunner, gate: Input) -> Input:
    """Return the plan of a gate's report, before the gate."""
    [plan] = [item for item in runner.records.read(gate.record).inputs if item.role == "plan"]
    return plan


def _family(lineage: Lineage, end: Input) -> list[str]:
    return [end.record, *lineage.ancestors(end.record)]


HEADS = ("teacher", "verdict", "remedy", "share of its gain that the student has")


def outcome_rows(past: Sequence[PastOutcome]) -> list[tuple[str, str, str, str]]:
    """Return outcomes as rows under ``HEADS``."""
    return [
        (each.teacher, each.verdict.value, each.done.value, f"{each.actual:.2f}") for each in past
    ]


def outcome_lines(past: Sequence[PastOutcome]) -> list[str]:
    """Return each outcome as a line of text."""
    return [
        f"{teacher}: {verdict}, remedy {done}; the student has {share} of its gain"
        for teacher, verdict, done, share in outcome_rows(past)
    ]


def outcomes_page(past: Sequence[PastOutcome]) -> str:
    """Return outcomes as a page, for the Flyte Deck."""
    title = "Results of earlier merges"
    return render("outcomes.html.j2", title=title, heads=HEADS, rows=outcome_rows(past))
