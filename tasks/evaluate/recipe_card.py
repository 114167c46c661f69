"""The card of a recipe: scores of its stages, forgetting, drift from the base, and cost.

Everything on it comes from measurements and records of the store, so a card can be made again.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from pydantic import Field

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.frozen import Frozen
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import Domain
from tasks.contracts.named import NamedArtifact
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.evaluate.cost import StageCost, cost_of_records
from tasks.evaluate.drift import measure_drift, read_drift
from tasks.evaluate.measure import DomainMeasurement, Examiner, read_measured
from tasks.evaluate.recipe_rewards import RewardScores, read_reward_scores
from tasks.evaluate.scores import PromptOutcome
from tasks.evaluate.settings import EvaluationSettings, RecipeLabel
from tasks.evaluate.text_loss import measure_text, read_text_loss
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.statistics import Interval, mean_interval

CARD = "recipe_card"
"""Kind of the artifact."""
BASE = "base"
"""Name of the base among the stages."""


class ModeScore(Frozen):
    """A checkpoint on those held-out prompts of a domain that have one template mode."""

    obedient: float
    """Share of the answers that think if, and only if, the mode is "on"."""
    mean: float
    """Mean score."""
    tokens: float
    """Mean number of response tokens."""
    answers: int


class DomainScore(Frozen):
    """A checkpoint on the held-out prompts of one domain."""

    mean: float
    low: float
    high: float
    """Upper end of the 95 % interval over prompts; ``low`` is the lower end."""
    prompts: int
    tokens: float
    """Mean number of response tokens."""
    truncated: float
    """Share of truncated responses."""
    modes: dict[str, ModeScore] = Field(default_factory=dict)
    """The same by template mode, for the modes "on" and "off"."""


class RecipeCard(Frozen):
    """The result of a recipe on the testbed."""

    label: RecipeLabel
    stages: list[NamedArtifact] = Field(min_length=1)
    """Checkpoints in the order of the recipe; the last is its model. The base is not among them."""
    base: Artifact
    scores: dict[str, dict[str, DomainScore]]
    """Stage, and ``base``, to domain to score."""
    drift: dict[str, dict[str, float]]
    """Stage to domain to KL from the base, in nats per token of the stage's own samples."""
    forgetting: dict[str, float]
    """Domain to the best score of an earlier stage, less the score of the last; at least 0."""
    rewards: RewardScores = Field(default_factory=dict)
    """Stage to domain to reward model to its score beside the gold score of the same answers."""
    text: dict[str, float] = Field(default_factory=dict)
    """Stage to its mean nats per token of held-out pre-training text, if the recipe measures it."""
    cost: dict[str, StageCost]
    """Kind of record to what its steps took; without the base, which all recipes share."""


class RecipeModels(NamedTuple):
    """What a card is of."""

    base: Artifact
    stages: Sequence[NamedArtifact]
    scored: Sequence[Artifact] = ()
    """Responses of the stages, by their names, with the scores of reward models."""
    text: Artifact | None = None
    """Text that all stages are measured on."""


def score_recipe(
    runner: StepRunner,
    label: RecipeLabel,
    models: RecipeModels,
    domains: Sequence[Domain],
    settings: EvaluationSettings,
) -> Artifact:
    """Return the card of a recipe; every stage is measured on every domain.

    Raises:
        RefusedError: ``other-kind`` for a reward model as stage, ``repeated-name`` for two stages
            of one name.
    """
    base, stages, scored, text = models
    _refuse(base, stages)
    every = [NamedArtifact(name=BASE, artifact=base), *stages] if text else []
    read = {one.name: measure_text(runner, one.artifact, text) for one in every if text}
    measured = _measurements(runner, base, stages, domains, settings)
    drifts = {
        domain.settings.name: measure_drift(runner, stages[-1].artifact, base, domain, settings)
        for domain in domains
    }
    derivation = Derivation(
        project=runner.project,
        kind=CARD,
        inputs=(
            Input.of("base", base),
            *(Input.of("stage", stage.artifact, stage.name) for stage in stages),
            *(
                Input.of("measurement", item, f"{stage}.{domain}")
                for stage, row in measured.items()
                for domain, item in row.items()
            ),
            *(Input.of("drift", item, domain) for domain, item in drifts.items()),
            *(Input.of("scored", item) for item in scored),
            *(Input.of("read", item, stage) for stage, item in read.items()),
        ),
        source=source_digest("evaluate", "statistics"),
        settings={**label.model_dump(mode="json"), **settings.model_dump(mode="json")},
        seed=label.seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        scores, last = _scores(runner, measured), stages[-1].name
        card = RecipeCard(
            label=label,
            stages=list(stages),
            base=base,
            scores=scores,
            drift={last: {name: read_drift(runner, item).nats for name, item in drifts.items()}},
            rewards=read_reward_scores(runner, scored),
            text={stage: read_text_loss(runner, item).nats for stage, item in read.items()},
            forgetting=forgetting(scores, [BASE, *(stage.name for stage in stages)]),
            cost=cost_of_records(
                runner.records, [stage.artifact for stage in stages], {base.record}
            ),
        )
        for domain, score in scores[last].items():
            measurements.add(0, {f"score/{domain}": score.mean})
        path = folder / "card.json"
        path.write_bytes(canonical_json(card.model_dump(mode="json")))
        return path

    return runner.find_or_make(derivation, CARD, make)


def read_card(runner: StepRunner, artifact: Artifact) -> RecipeCard:
    """Return a stored card."""
    refuse_other_kind(artifact, CARD, "card")
    return RecipeCard.model_validate(json.loads(runner.store.get_bytes(artifact.digest)))


def domain_score(measured: DomainMeasurement) -> DomainScore:
    """Return the score of a measurement with its interval, length and truncation."""
    found: Interval = mean_interval([outcome.scores for outcome in measured.outcomes])
    lengths = [length for outcome in measured.outcomes for length in outcome.lengths]
    cut = [truncated for outcome in measured.outcomes for truncated in outcome.truncated]
    return DomainScore(
        mean=found.mean,
        low=found.low,
        high=found.high,
        prompts=found.n,
        tokens=sum(lengths) / len(lengths) if lengths else 0.0,
        truncated=sum(cut) / len(cut) if cut else 0.0,
        modes=mode_scores(measured.outcomes),
    )


def mode_scores(outcomes: Sequence[PromptOutcome]) -> dict[str, ModeScore]:
    """Return the scores of prompts with thinking on or off, by mode."""
    found = {}
    for mode in sorted({outcome.mode for outcome in outcomes if outcome.obedient}):
        own = [outcome for outcome in outcomes if outcome.mode == mode]
        found[mode] = ModeScore(
            obedient=fmean(obeys for outcome in own for obeys in outcome.obedient),
            mean=fmean(score for outcome in own for score in outcome.scores),
            tokens=fmean(length for outcome in own for length in outcome.lengths),
            answers=sum(len(outcome.scores) for outcome in own),
        )
    return found


def forgetting(
    scores: Mapping[str, Mapping[str, DomainScore]], stages: Sequence[str]
) -> dict[str, float]:
    """Return by domain how far the last stage lies below the best one before it, at least 0."""
    *before, last = stages
    return {
        domain: max(0.0, max(scores[stage][domain].mean for stage in before) - score.mean)
        for domain, score in scores[last].items()
    }


def _refuse(base: Artifact, stages: Sequence[NamedArtifact]) -> None:
    refuse_other_kind(base, "checkpoint", "base")
    for stage in stages:
        refuse_other_kind(stage.artifact, "checkpoint", f"stages ({stage.name})")
    names = [BASE, *(stage.name for stage in stages)]
    if len(set(names)) < len(names):
        raise RefusedError(
            "repeated-name", f"the stages {names} have a name twice: give each its own"
        )


def _scores(
    runner: StepRunner, measured: Mapping[str, Mapping[str, Artifact]]
) -> dict[str, dict[str, DomainScore]]:
    return {
        stage: {domain: domain_score(read_measured(runner, item)) for domain, item in row.items()}
        for stage, row in measured.items()
    }


def _measurements(
    runner: StepRunner,
    base: Artifact,
    stages: Sequence[NamedArtifact],
    domains: Sequence[Domain],
    settings: EvaluationSettings,
) -> dict[str, dict[str, Artifact]]:
    checkpoints = {BASE: base, **{stage.name: stage.artifact for stage in stages}}
    found: dict[str, dict[str, Artifact]] = {}
    for place, (name, checkpoint) in enumerate(checkpoints.items()):
        report("evaluate", place, len(checkpoints), message=name)
        examiner = Examiner(runner, checkpoint, settings)
        found[name] = {
            domain.settings.name: examiner.measure(
                domain.settings.name, domain.environment, domain.evaluation
            )
            for domain in domains
        }
    report("evaluate", len(checkpoints), len(checkpoints))
    return found
