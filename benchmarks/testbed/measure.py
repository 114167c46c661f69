"""The figures of a domain: from all answers to its held-out prompts, score by score."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from tasks.rollout.collect import Rollout
from tasks.statistics import mean_interval

Answers = Mapping[str, Sequence["Answer"]]
"""Answers by prompt."""
OPENED = "<think>"


@dataclass(frozen=True)
class Answer:
    """What is kept of one answer."""

    mode: str
    score: float
    tokens: int
    """Number of tokens that the policy generated."""
    thinks: bool
    truncated: bool


def answers_of(rollouts: Sequence[Rollout]) -> dict[str, list[Answer]]:
    """Return the answers by prompt, in the order of the prompts."""
    kept: dict[str, list[Answer]] = {}
    for rollout in rollouts:
        said = [turn.content for turn in rollout.turns if turn.role == "assistant"]
        answer = Answer(
            mode=rollout.prompt.mode,
            score=rollout.grade.score,
            tokens=rollout.num_response_tokens,
            thinks=any(OPENED in text for text in said),
            truncated=rollout.truncated,
        )
        kept.setdefault(rollout.prompt.id, []).append(answer)
    return kept


def figures_of(answers: Answers) -> dict[str, object]:
    """Return scores with intervals, pass rates, lengths, and how well modes are obeyed.

    An answer passes with the whole score. ``pass_any`` is the share of prompts of which any answer
    passes: pass@16 for 16 answers each. ``tokens_of_passed`` is the mean length of the answers that
    pass in the mode "on", or without a mode.
    """
    samples = [[answer.score for answer in each] for each in answers.values()]
    passed = [[float(score == 1.0) for score in scores] for scores in samples]
    every = [answer for each in answers.values() for answer in each]
    right = [answer.tokens for answer in every if answer.score == 1.0 and answer.mode != "off"]
    figures: dict[str, object] = {
        "prompts": len(samples),
        "answers": len(every),
        "score": asdict(mean_interval(samples)),
        "pass_1": asdict(mean_interval(passed)),
        "pass_any": mean(max(row) for row in passed),
        "tokens": mean(answer.tokens for answer in every),
        "tokens_of_passed": mean(right) if right else None,
        "truncated": mean(answer.truncated for answer in every),
    }
    for mode in sorted({answer.mode for answer in every} - {""}):
        own = [answer for answer in every if answer.mode == mode]
        figures[f"mode_{mode}"] = {
            "pass_1": mean(answer.score == 1.0 for answer in own),
            "tokens": mean(answer.tokens for answer in own),
            "obedient": mean(answer.thinks == (mode == "on") for answer in own),
        }
    return figures


def rows_of(answers: Answers) -> list[dict[str, object]]:
    """Return a compact row for each prompt, from which all figures can be computed again."""
    return [
        {
            "prompt": prompt,
            "mode": each[0].mode,
            "scores": [round(answer.score, 4) for answer in each],
            "tokens": [answer.tokens for answer in each],
            "thinks": "".join(str(int(answer.thinks)) for answer in each),
            "truncated": "".join(str(int(answer.truncated)) for answer in each),
        }
        for prompt, each in answers.items()
    ]


def answers_from(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Answer]]:
    """Return the answers that ``rows_of`` kept; scores have four digits."""
    return {
        row["prompt"]: [
            Answer(row["mode"], score, tokens, thinks == "1", truncated == "1")
            for score, tokens, thinks, truncated in zip(
                row["scores"], row["tokens"], row["thinks"], row["truncated"], strict=True
            )
        ]
        for row in rows
    }
