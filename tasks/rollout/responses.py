"""Responses with their scores, and comparisons of two responses, as data sets of JSON lines.

Sampling keeps all responses of a prompt with all of their scores, so that best-of-K, pairs, pass
rates and difficulty windows come from one data set. A comparison says which of two responses to a
prompt is better, and by how much.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from pathlib import Path

from tasks.rollout.environment import Json, Message, Prompt, Turn
from tasks.rollout.foreign import shown
from tasks.rollout.json_lines import PromptError, fields_of, read_rows, write_rows
from tasks.rollout.prompts import (
    message_to_json,
    messages_from_json,
    mode_from_json,
    prompt_from_json,
    prompt_to_json,
    turns_from_json,
)

RESPONSES = "responses"
"""Kind of an artifact that holds scored responses."""
COMPARISONS = "comparisons"
"""Kind of an artifact that holds comparisons."""
GRADE = "grade"
"""Name of the environment's score."""


@dataclass(frozen=True)
class ScoredResponse:
    """One sampled response to a prompt, kept whatever its score."""

    domain: str
    prompt: Prompt
    turns: tuple[Turn, ...]
    """The model's turns and the environment's answers to them."""
    sampler: str
    """Name of the checkpoint that sampled it."""
    scores: Mapping[str, float]
    """Scores by scorer: ``grade`` is the environment's, any other a reward model's or a judge's."""
    num_tokens: int
    """Number of tokens that the model generated."""
    truncated: bool = False
    """Whether it was cut off at a limit of tokens."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Text by scorer, such as a judge's verdict in its own words."""


class Strength(StrEnum):
    """How much better the chosen response is: the levels of Llama 2 (2307.09288), and a tie."""

    SIGNIFICANTLY = "significantly better"
    BETTER = "better"
    SLIGHTLY = "slightly better"
    NEGLIGIBLY = "negligibly better"
    TIE = "tie"


@dataclass(frozen=True)
class PreferencePair:
    """Two responses to one prompt, the chosen one and the rejected one."""

    domain: str
    prompt: str
    """Id of the prompt. All comparisons of a prompt are trained on together."""
    messages: tuple[Message, ...]
    chosen: tuple[Turn, ...]
    rejected: tuple[Turn, ...]
    strength: Strength
    source: str
    """What made the comparison: an annotator, a scorer, or the names of two samplers."""
    mode: str = ""
    """Template mode, as in ``Prompt.mode``."""


def read_responses(path: Path) -> list[ScoredResponse]:
    """Return the responses of a file, in order; PromptError names the line that is wrong."""
    return [response for _, response in read_rows(path, _response)]


def write_responses(path: Path, responses: Iterable[ScoredResponse]) -> None:
    """Write responses, whole or not at all; refuses what ``read_responses`` would refuse."""
    rows = [_response_to_json(response) for response in responses]
    for row in rows:
        _response(row)
    write_rows(path, rows)


def read_comparisons(path: Path) -> list[PreferencePair]:
    """Return the comparisons of a file, in order; PromptError names the line that is wrong."""
    return [comparison for _, comparison in read_rows(path, _comparison)]


def write_comparisons(path: Path, comparisons: Iterable[PreferencePair]) -> None:
    """Write comparisons, whole or not at all; refuses what ``read_comparisons`` would refuse."""
    rows = [_comparison_to_json(comparison) for comparison in comparisons]
    for row in rows:
        _comparison(row)
    write_rows(path, rows)


def _response_to_json(response: ScoredResponse) -> dict[str, Json]:
    return {
        "domain": response.domain,
        "prompt": prompt_to_json(response.prompt),
        "turns": _turns_to_json(response.turns),
        "sampler": response.sampler,
        "scores": dict(response.scores),
        "num_tokens": response.num_tokens,
        "truncated": response.truncated,
        **({"notes": dict(response.notes)} if response.notes else {}),
    }


def _response(value: object) -> ScoredResponse:
    required = ("domain", "prompt", "turns", "sampler", "scores", "num_tokens", "truncated")
    fields = fields_of(value, required=required, optional=("notes",))
    return ScoredResponse(
        domain=_text(fields, "domain"),
        prompt=prompt_from_json(fields["prompt"]),
        turns=turns_from_json(fields["turns"]),
        sampler=_text(fields, "sampler"),
        scores=_scores(fields["scores"]),
        num_tokens=_count(fields["num_tokens"]),
        truncated=fields["truncated"] is True,
        notes=_notes(fields.get("notes", {})),
    )


def _comparison_to_json(comparison: PreferencePair) -> dict[str, Json]:
    return {
        "domain": comparison.domain,
        "prompt": comparison.prompt,
        "messages": [message_to_json(message) for message in comparison.messages],
        "chosen": _turns_to_json(comparison.chosen),
        "rejected": _turns_to_json(comparison.rejected),
        "strength": comparison.strength.value,
        "source": comparison.source,
        **({"mode": comparison.mode} if comparison.mode else {}),
    }


def _comparison(value: object) -> PreferencePair:
    required = ("domain", "prompt", "messages", "chosen", "rejected", "strength", "source")
    fields = fields_of(value, required=required, optional=("mode",))
    strength = fields["strength"]
    if strength not in set(Strength):
        raise PromptError(
            f"field 'strength' is {shown(strength)}: choose from {', '.join(Strength)}"
        )
    return PreferencePair(
        domain=_text(fields, "domain"),
        prompt=_text(fields, "prompt"),
        messages=messages_from_json(fields["messages"]),
        chosen=turns_from_json(fields["chosen"]),
        rejected=turns_from_json(fields["rejected"]),
        strength=Strength(str(strength)),
        source=_text(fields, "source"),
        mode=mode_from_json(fields),
    )


def _turns_to_json(turns: Sequence[Turn]) -> list[Json]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not value:
        raise PromptError(f"field {name!r} is {shown(value)}: it must be a text")
    return value


def _scores(value: object) -> dict[str, float]:
    if not isinstance(value, dict) or not value:
        raise PromptError("field 'scores' must be an object with at least one score by its scorer")
    for name, score in value.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score):
            raise PromptError(f"score {name!r} is {shown(score)}: it must be a finite number")
    return {name: float(score) for name, score in value.items()}


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PromptError(f"field 'num_tokens' is {shown(value)}: it must be a count")
    return value


def _notes(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(note, str) for note in value.values()):
        raise PromptError("field 'notes' must be an object of texts by scorer")
    return value
