"""What is kept of one run of a recipe: enough to judge its claims and to draw the atlas again."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lineage.artifacts import Artifact, without_places
from lineage.frozen import Frozen
from lineage.graph.handed import model_edges
from lineage.mirror.run_view import metrics_of
from tasks.evaluate.atlas import AtlasRow, RecipeText, inline_graph
from tasks.evaluate.measure import read_measured
from tasks.evaluate.recipe_card import CARD, RecipeCard, read_card
from tasks.evaluate.scores import PromptOutcome
from tasks.platform.step_runner import StepRunner

Outcomes = Mapping[str, Mapping[str, Sequence[PromptOutcome]]]
"""Stage to domain to one outcome for each held-out prompt, in the order of the prompts."""
Series = dict[str, list[tuple[int, float]]]
"""Metric to its values, each with its optimizer step."""


class Evidence(Frozen):
    """One run of a recipe."""

    card: RecipeCard
    record: str
    """Record of the card."""
    outcomes: dict[str, dict[str, tuple[PromptOutcome, ...]]]
    series: dict[str, Series]
    """What each stage measured while it trained."""
    reward_models: list[Series]
    """The same of each reward model, in the order of their records."""
    svg: str
    """The recorded graph."""

    @property
    def seed(self) -> int:
        """Random seed of training."""
        return self.card.label.seed

    def atlas_row(self, title: str, lesson: str) -> AtlasRow:
        """Return the run as a row of the atlas."""
        return AtlasRow(self.card, self.record, RecipeText(title, lesson), Markup(self.svg))


def gather(runner: StepRunner, record: str) -> Evidence:
    """Return the evidence of a run from the record of its card, and from those behind it."""
    attested = runner.records.output(record)
    assert attested is not None, "a card that was just made is attested"
    card = read_card(runner, Artifact(kind=CARD, digest=attested.output, record=record))
    last = card.stages[-1].artifact
    stages = {stage.name: stage.artifact.record for stage in card.stages}
    ends = {last.record} | {
        end
        for made in stages.values()
        for edge in model_edges(runner.records, made, card.base.record)
        for end in (edge.parent, edge.child)
    }
    scorers = sorted(made for made in ends if _kind(runner, made) == "reward_model")
    return Evidence(
        card=card,
        record=record,
        outcomes=_outcomes(runner, record),
        series={name: _series(runner, made) for name, made in stages.items()},
        reward_models=[_series(runner, made) for made in scorers],
        svg=str(inline_graph(runner, card)),
    )


def _kind(runner: StepRunner, record: str) -> str:
    attested = runner.records.output(record)
    return attested.output_kind if attested else ""


def _outcomes(runner: StepRunner, record: str) -> dict[str, dict[str, tuple[PromptOutcome, ...]]]:
    found: dict[str, dict[str, tuple[PromptOutcome, ...]]] = {}
    for item in runner.records.read(record).inputs:
        if item.role != "measurement":
            continue
        stage, _, domain = item.name.rpartition(".")
        measured = read_measured(
            runner, Artifact(kind="evaluation", digest=item.artifact, record=item.record)
        )
        found.setdefault(stage, {})[domain] = measured.outcomes
    return found


def _series(runner: StepRunner, record: str) -> Series:
    attested, found = runner.records.output(record), Series()
    for row in metrics_of(runner.store, attested) if attested else []:
        found.setdefault(row.name, []).append((row.step, round(row.value, 6)))
    return found


def as_row(evidence: Evidence) -> dict[str, Any]:
    """Return the evidence as JSON, without the places of its artifacts on this machine."""
    found = without_places(evidence.model_dump(mode="json"))
    assert isinstance(found, dict)
    return found
