"""What is selected from responses, as recorded steps: the data that later stages train on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.rejection_sampling import annotator, demonstrations, difficulty, pairs
from tasks.rejection_sampling.annotator import AnnotatorSettings
from tasks.rejection_sampling.demonstrations import DemonstrationRule
from tasks.rejection_sampling.difficulty import PromptRule
from tasks.rejection_sampling.pairs import PairRule
from tasks.rejection_sampling.settings import VerdictSettings
from tasks.rejection_sampling.verdicts import verdicts
from tasks.rollout.domains import stored_responses
from tasks.rollout.prompts import write_demonstrations, write_prompts
from tasks.rollout.responses import COMPARISONS, RESPONSES, ScoredResponse, write_comparisons

_DATASET = "dataset"


def select_demonstrations(
    runner: StepRunner,
    responses: Sequence[Artifact],
    rule: DemonstrationRule,
    seed: int,
    owner: str = "",
) -> Artifact:
    """Return demonstrations from one or several sets of responses, such as rounds.

    Raises:
        RefusedError: as ``demonstrations.select_demonstrations``; ``other-kind`` for other data.
    """

    def make(rounds: list[list[ScoredResponse]], file: Path) -> Mapping[str, float]:
        chosen = demonstrations.select_demonstrations(rounds, rule, seed)
        write_demonstrations(file, chosen.rows)
        grades = [each.scores[rule.scorer] for each in chosen.responses]
        return {**chosen.counts, "mean_score": sum(grades) / len(grades)}

    derivation = _derivation(runner, "selection", responses, rule, seed)
    return _selected(runner, derivation, _DATASET, responses, make, owner)


def select_pairs(
    runner: StepRunner, responses: Sequence[Artifact], rule: PairRule, seed: int, owner: str = ""
) -> Artifact:
    """Return preference pairs of responses; those of all sets to one prompt are compared.

    Raises:
        RefusedError: as ``pairs.select_pairs``; ``other-kind`` for other data.
    """

    def make(rounds: list[list[ScoredResponse]], file: Path) -> Mapping[str, float]:
        chosen = pairs.select_pairs(_joined(rounds), rule, seed)
        write_comparisons(file, chosen.pairs)
        return chosen.counts

    derivation = _derivation(runner, "pairs", responses, rule, seed)
    return _selected(runner, derivation, COMPARISONS, responses, make, owner)


def select_prompts(
    runner: StepRunner, responses: Sequence[Artifact], rule: PromptRule, owner: str = ""
) -> Artifact:
    """Return a domain's prompts with a pass rate within the rule's window.

    Raises:
        RefusedError: as ``difficulty.select_prompts``; ``other-kind`` for other data.
    """

    def make(rounds: list[list[ScoredResponse]], file: Path) -> Mapping[str, float]:
        chosen = difficulty.select_prompts(_joined(rounds), rule)
        write_prompts(file, chosen.prompts)
        rates = chosen.pass_rates.values()
        return {**chosen.counts, "pass_rate": sum(rates) / len(rates)}

    derivation = _derivation(runner, "difficulty", responses, rule, 0)
    return _selected(runner, derivation, _DATASET, responses, make, owner)


def annotate(
    runner: StepRunner,
    responses: Sequence[Artifact],
    settings: AnnotatorSettings,
    seed: int,
    owner: str = "",
) -> Artifact:
    """Return the comparisons of a simulated annotator, who prefers a known gold score.

    Raises:
        RefusedError: as ``annotator.annotate``; ``other-kind`` for other data.
    """

    def make(rounds: list[list[ScoredResponse]], file: Path) -> Mapping[str, float]:
        made = annotator.annotate(_joined(rounds), settings, seed)
        write_comparisons(file, made.pairs)
        return made.counts

    derivation = _derivation(runner, "annotation", responses, settings, seed)
    return _selected(runner, derivation, COMPARISONS, responses, make, owner)


def write_verdicts(
    runner: StepRunner,
    responses: Sequence[Artifact],
    settings: VerdictSettings,
    seed: int,
    owner: str = "",
) -> Artifact:
    """Return verdicts on responses as demonstrations, from which a model learns to judge.

    Raises:
        RefusedError: as ``verdicts.verdicts``; ``other-kind`` for other data.
    """

    def make(rounds: list[list[ScoredResponse]], file: Path) -> Mapping[str, float]:
        given = _joined(rounds)
        write_demonstrations(file, verdicts(given, settings, seed))
        return {"selected": len(given)}

    derivation = _derivation(runner, "verdicts", responses, settings, seed)
    return _selected(runner, derivation, _DATASET, responses, make, owner)


def _joined(rounds: Sequence[Sequence[ScoredResponse]]) -> list[ScoredResponse]:
    return [response for responses in rounds for response in responses]


def _derivation(
    runner: StepRunner, kind: str, responses: Sequence[Artifact], rule: BaseModel, seed: int
) -> Derivation:
    if not responses:
        raise RefusedError(
            "no-responses", "the list of sets of responses is empty: give at least one"
        )
    for each in responses:
        refuse_other_kind(each, RESPONSES, "responses")
    return Derivation(
        project=runner.project,
        kind=kind,
        inputs=tuple(
            Input.of("responses", each, str(place)) for place, each in enumerate(responses)
        ),
        source=source_digest("rejection_sampling"),
        settings=rule.model_dump(mode="json"),
        seed=seed,
    )


Make = Callable[[list[list[ScoredResponse]], Path], Mapping[str, float]]
"""Writes the selection of sets of responses to a file, and returns what to measure."""


def _selected(
    runner: StepRunner,
    derivation: Derivation,
    kind: str,
    responses: Sequence[Artifact],
    make: Make,
    owner: str,
) -> Artifact:
    """Run a selection and record its counts."""

    def run(folder: Path, measurements: Measurements) -> Path:
        rounds = [stored_responses(runner.store, each) for each in responses]
        file = folder / f"{derivation.kind}.jsonl"
        counts = make(rounds, file)
        measurements.add(0, counts)
        report(derivation.kind, 1, 1, selected=counts["selected"])
        return file

    return runner.find_or_make(derivation, kind, run, owner)
