"""Comparisons by a judge: two responses to a prompt, shown in both orders."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rejection_sampling.pairs import StrengthCuts, pair_of
from tasks.rejection_sampling.pools import by_prompt, refuse_nothing_left
from tasks.rejection_sampling.scored import load_judge
from tasks.rejection_sampling.settings import ComparisonSettings
from tasks.rollout.domains import stored_responses
from tasks.rollout.responses import (
    COMPARISONS,
    RESPONSES,
    PreferencePair,
    ScoredResponse,
    write_comparisons,
)
from tasks.scoring.judge import PairJudgment
from tasks.scoring.settings import NamedJudge

_Pair = tuple[ScoredResponse, ScoredResponse]


def compare_responses(
    runner: StepRunner,
    responses: Sequence[Artifact],
    judge: NamedJudge,
    settings: ComparisonSettings,
    seed: int,
    owner: str = "",
) -> Artifact:
    """Return comparisons by a judge; pairs on which its orders contradict are ties and dropped.

    The verdicts are kept as a file in the store, which the record notes.

    Raises:
        RefusedError: ``other-kind``, ``no-responses``, ``too-few-responses``, or ``nothing-left``
            if no pair has a preference.
    """
    if not responses:
        raise RefusedError(
            "no-responses", "the list of sets of responses is empty: give at least one"
        )
    for each in responses:
        refuse_other_kind(each, RESPONSES, "responses")
    refuse_other_kind(judge.artifact, "checkpoint", f"judge {judge.name}")
    derivation = Derivation(
        project=runner.project,
        kind="comparison",
        inputs=(
            *(Input.of("responses", each, str(place)) for place, each in enumerate(responses)),
            Input.of("judge", judge.artifact, judge.name),
        ),
        source=source_digest("rejection_sampling", "scoring"),
        settings={
            **settings.model_dump(mode="json"),
            "judge": judge.settings.model_dump(mode="json"),
        },
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        given = [each for part in responses for each in stored_responses(runner.store, part)]
        pairs = drawn_pairs(given, settings.pairs_per_prompt, seed)
        report("compare", 0, 1, message=f"{judge.name} on {len(pairs)} pairs")
        judged = load_judge(runner, judge, seed).compare(pairs)
        measurements.notes["tokens_sampled"] = sum(each.num_tokens for each in judged)
        verdicts = "".join(json.dumps(each.texts) + "\n" for each in judged)
        measurements.notes["verdicts"] = runner.store.put_bytes(verdicts.encode())
        kept = [
            preferred(pair, each, settings.cuts, judge.name)
            for pair, each in zip(pairs, judged, strict=True)
            if each.preference
        ]
        counts = _counts(judged)
        measurements.add(0, counts)
        refuse_nothing_left(len(kept), len(pairs), "pairs", counts)
        file = folder / "comparisons.jsonl"
        write_comparisons(file, kept)
        return file

    return runner.find_or_make(derivation, COMPARISONS, make, owner)


def drawn_pairs(responses: Sequence[ScoredResponse], count: int, seed: int) -> list[_Pair]:
    """Return up to ``count`` pairs of each prompt, at random.

    Raises:
        RefusedError: ``too-few-responses`` if no prompt has two.
    """
    pools = by_prompt(responses)
    pairs = [pair for key, pool in pools.items() for pair in _drawn(pool, count, f"{seed} {key}")]
    if not pairs:
        raise RefusedError(
            "too-few-responses",
            f"none of {len(pools)} prompts has two responses: sample at least two per prompt",
        )
    return pairs


def _drawn(pool: Sequence[ScoredResponse], count: int, seed: str) -> Iterator[_Pair]:
    pairs = list(combinations(pool, 2))
    yield from random.Random(seed).sample(pairs, min(count, len(pairs)))


def preferred(pair: _Pair, judged: PairJudgment, cuts: StrengthCuts, judge: str) -> PreferencePair:
    """Return two responses as a pair, the one that the judge prefers as the chosen one."""
    first, second = pair
    chosen, rejected = (first, second) if judged.preference > 0 else (second, first)
    return pair_of(chosen, rejected, cuts.strength(abs(judged.preference)), judge)


def _counts(judged: Sequence[PairJudgment]) -> Mapping[str, int]:
    ties = sum(not each.preference for each in judged)
    return {
        "ties": ties,
        "unparsable": sum(each.num_unparsed for each in judged),
        "selected": len(judged) - ties,
    }
