"""The raw rows of a stored scorecard: one outcome for each prompt, from which it is made again."""

from benchmarks.common.results import Row
from lineage.artifacts import Artifact
from tasks.evaluate.cards import read_scorecard
from tasks.evaluate.measure import read_measured
from tasks.evaluate.scorecard import Scorecard, make_scorecard
from tasks.evaluate.scores import Outcomes
from tasks.platform.step_runner import StepRunner


def prompt_rows(runner: StepRunner, card: Artifact) -> Row:
    """Return the outcomes behind a scorecard, by method or teacher and domain, and its settings."""
    found: dict[str, Row] = {"method": {}, "teacher": {}}
    for item in runner.records.read(card.record).inputs:
        kind, _, name = item.role.partition(".")
        measured = read_measured(
            runner, Artifact(kind="evaluation", digest=item.artifact, record=item.record)
        )
        rows = [outcome.model_dump(mode="json") for outcome in measured.outcomes]
        found[kind].setdefault(name, {})[item.name] = rows
    stored = read_scorecard(runner, card)
    return {
        "methods": found["method"],
        "teachers": found["teacher"],
        "settings": stored.settings.model_dump(mode="json"),
        "left_out": dict(stored.left_out),
    }


def scorecard_of(rows: Row) -> Scorecard:
    """Return the scorecard that these rows give."""
    return make_scorecard(Outcomes.model_validate(rows))
