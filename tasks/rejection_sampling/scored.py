"""Adds scores of reward models and judges to responses."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.named import NamedArtifact, refuse_repeated_names
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.model.files import load_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.ranks import rank_device
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rejection_sampling.parts import make_parts, part_size
from tasks.rollout.domains import stored_responses
from tasks.rollout.responses import RESPONSES, ScoredResponse, write_responses
from tasks.scoring.judge import Judge
from tasks.scoring.reward_model import REWARD_MODEL, RewardModelScorer
from tasks.scoring.scorer import Judgment, ResponseScorer
from tasks.scoring.settings import NamedJudge

TOKENS = "tokens_sampled"
"""Metric of a part, and note of the whole: the tokens that judges wrote."""


def score_responses(
    runner: StepRunner,
    responses: Artifact,
    reward_models: Sequence[NamedArtifact],
    judges: Sequence[NamedJudge],
    seed: int,
    owner: str = "",
) -> Artifact:
    """Return the responses with a further score by each scorer's name.

    A judge's verdicts are kept in the notes of the responses, under its name.

    Raises:
        RefusedError: ``other-kind`` for a policy where a reward model is due, and the reverse;
            ``no-scorer``, ``repeated-name``, and ``scored-before`` for a name that already scored.
    """
    scorers: list[NamedArtifact] = [*reward_models, *judges]
    _refuse(responses, reward_models, judges)
    derivation = Derivation(
        project=runner.project,
        kind="scoring",
        inputs=(
            Input.of("responses", responses),
            *(Input.of("reward_model", each.artifact, each.name) for each in reward_models),
            *(Input.of("judge", each.artifact, each.name) for each in judges),
        ),
        source=source_digest("rejection_sampling", "scoring"),
        settings={"judges": {each.name: each.settings.model_dump(mode="json") for each in judges}},
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        given = stored_responses(runner.store, responses)
        _refuse_scored(given, scorers)
        size = part_size(len(given) * len(scorers))
        work = [
            (scorer, given[first : first + size])
            for scorer in scorers
            for first in range(0, len(given), size)
        ]
        bench = _ScoringBench(runner, seed, measurements)
        scored = make_parts(
            runner,
            derivation,
            measurements,
            len(work),
            lambda number: bench.part(number, len(work), *work[number]),
        )
        measurements.notes[TOKENS] = tokens_sampled(measurements)
        file = folder / "responses.jsonl"
        write_responses(file, _merged(given, scored))
        return file

    return runner.find_or_make(derivation, RESPONSES, make, owner)


def tokens_sampled(measurements: Measurements) -> int:
    """Return the tokens over all parts, also those before a resume."""
    return int(sum(row.value for row in measurements.rows if row.name == TOKENS))


def load_judge(runner: StepRunner, judge: NamedJudge, seed: int) -> Judge:
    """Return a judge, loaded."""
    policy = load_policy(runner.store.tree(judge.artifact.digest))
    nn.Module.to(policy.model, rank_device())
    return Judge(policy, judge.settings, seed)


def _merged(
    given: Sequence[ScoredResponse], scored: Sequence[ScoredResponse]
) -> list[ScoredResponse]:
    """Return the given responses with the scores that each scorer added, scorer by scorer."""
    merged = []
    for place, response in enumerate(given):
        own = scored[place :: len(given)]
        scores = {name: score for each in own for name, score in each.scores.items()}
        notes = {name: note for each in own for name, note in each.notes.items()}
        merged.append(
            replace(
                response,
                scores={**response.scores, **scores},
                notes={**response.notes, **notes},
            )
        )
    return merged


def _refuse(
    responses: Artifact, reward_models: Sequence[NamedArtifact], judges: Sequence[NamedJudge]
) -> None:
    refuse_other_kind(responses, RESPONSES, "responses")
    if not reward_models and not judges:
        raise RefusedError(
            "no-scorer", "neither a reward model nor a judge is given: give at least one"
        )
    refuse_repeated_names([each.name for each in (*reward_models, *judges)], "scorers")
    for model in reward_models:
        refuse_other_kind(model.artifact, REWARD_MODEL, f"reward_model {model.name}")
    for judge in judges:
        refuse_other_kind(judge.artifact, "checkpoint", f"judge {judge.name}")


def _refuse_scored(given: Sequence[ScoredResponse], scorers: Sequence[NamedArtifact]) -> None:
    known = {name for response in given for name in response.scores}
    if again := sorted(known & {scorer.name for scorer in scorers}):
        raise RefusedError(
            "scored-before",
            f"the responses have scores by {again} already, and scores are told apart by name: "
            "give the scorer another name, such as one with its round",
        )


class _ScoringBench:
    """Scores parts; a scorer is loaded when the first of its parts is due."""

    def __init__(self, runner: StepRunner, seed: int, measurements: Measurements) -> None:
        self._runner, self._seed, self._measurements = runner, seed, measurements
        self._loaded: tuple[str, ResponseScorer] | None = None

    def part(
        self,
        number: int,
        num_parts: int,
        scorer: NamedArtifact,
        responses: Sequence[ScoredResponse],
    ) -> list[ScoredResponse]:
        """Return the responses with the scorer's score alone."""
        opened = self._opened(scorer)
        if isinstance(opened, Judge):
            judged = opened.judge(responses)
        else:
            judged = [Judgment(score) for score in opened.score(responses)]
        scores = [each.score for each in judged]
        metrics = {f"score/{scorer.name}": sum(scores) / len(scores)}
        if isinstance(opened, Judge):
            unparsed = sum(not each.is_parsed for each in judged)
            metrics[f"unparsable/{scorer.name}"] = unparsed / len(judged)
            metrics[TOKENS] = sum(each.num_tokens for each in judged)
        self._measurements.add(number + 1, metrics)
        report(
            f"score by {scorer.name}", number + 1, num_parts, score=metrics[f"score/{scorer.name}"]
        )
        return [
            replace(
                response,
                scores={scorer.name: each.score},
                notes={scorer.name: each.text} if each.text else {},
            )
            for response, each in zip(responses, judged, strict=True)
        ]

    def _opened(self, scorer: NamedArtifact) -> ResponseScorer:
        if self._loaded is None or self._loaded[0] != scorer.name:
            self._loaded = None  # frees the last one first
            report(f"score by {scorer.name}", 0, 0, message="load")
            self._loaded = (scorer.name, self._load(scorer))
        return self._loaded[1]

    def _load(self, scorer: NamedArtifact) -> ResponseScorer:
        if isinstance(scorer, NamedJudge):
            return load_judge(self._runner, scorer, self._seed)
        return RewardModelScorer.stored(self._runner.store, scorer.artifact)
