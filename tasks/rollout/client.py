"""The client side of an environment: batched interface, failures, and in-process client.

Rollouts and evaluations take an ``EnvironmentClient``. A released domain runs in a confined
process (``worker.client.EnvironmentWorker``); a test or the caller's own environment runs
in-process (``LocalEnvironment``). Both check each answer in the same way.
"""

import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from tasks.rollout.environment import (
    Demonstration,
    Environment,
    Grade,
    Prompt,
    PromptSource,
    Split,
    Turn,
)
from tasks.rollout.foreign import cut, shown
from tasks.rollout.json_lines import PromptError, parse_json
from tasks.rollout.prompts import (
    demonstration_from_json,
    demonstration_to_json,
    prompt_from_json,
    prompt_to_json,
    refuse_repeated_ids,
)

REPLY_BYTES = 65_536
"""Maximum bytes of an environment's answer; more would not fit a model's context."""
NUM_TRACEBACK_LINES = 12
MAX_TURNS = 256
"""Maximum number of model turns in one episode; a player draws noise for all of them first."""
_DETAILS_CHARACTERS = 8_000


@dataclass(frozen=True)
class Episode:
    """A prompt and all turns so far; the last one is the model's."""

    prompt: Prompt
    turns: tuple[Turn, ...]


class EnvironmentFailure(RuntimeError):  # noqa: N818 (what failed is the environment)
    """A domain's environment raised, hung, died or returned nonsense."""

    def __init__(
        self,
        domain: str,
        call: str,
        problem: str,
        *,
        code: str = "",
        prompt_id: str = "",
        details: str = "",
    ) -> None:
        from lineage.errors import paragraph  # noqa: PLC0415 - the confined process has no lineage

        self.domain = domain
        self.call = call
        self.code = code or "environment-failed"
        self.prompt_id = prompt_id
        self.details = details
        at = f" at prompt {shown(prompt_id)}" if prompt_id else ""
        lines = details[-_DETAILS_CHARACTERS:].strip().splitlines()[-NUM_TRACEBACK_LINES:]
        last_lines = "\n".join(map(cut, lines))
        message = (
            f"environment of {domain!r}: {call}(){at} {cut(problem)}. An episode without a grade "
            "cannot be trained on, so the run stops here: ask the owner of the domain to fix its "
            "environment.py or prompts.py and to release again"
            + (f". Last lines of its output:\n{last_lines}" if last_lines else "")
        )
        super().__init__(paragraph(message))


class EnvironmentClient(Protocol):
    """Batched access to a domain's environment and prompts. All calls are repeatable."""

    @property
    def max_turns(self) -> int:
        """The most turns that the model gets in one episode."""

    def respond(self, items: Sequence[Episode]) -> list[str | None]:
        """Answer each episode's last turn; None ends it. EnvironmentFailure if it cannot."""

    def grade(self, items: Sequence[Episode]) -> list[Grade]:
        """Grade finished episodes, in order. EnvironmentFailure if it cannot."""

    def prompts(self, split: Split, count: int, seed: int) -> list[Prompt]:
        """Return ``count`` prompts of a split. EnvironmentFailure if there are not so many."""

    def demonstrations(self, count: int, seed: int) -> list[Demonstration]:
        """Return ``count`` worked examples of the train split."""


class NonsenseError(ValueError):
    """An environment returned an invalid value; the text continues after "grade()"."""


class LocalEnvironment:
    """An environment object called in this process: for tests and the caller's own environments."""

    def __init__(
        self, environment: Environment, source: PromptSource | None = None, domain: str = "local"
    ) -> None:
        """Call ``environment``; ``source``, an object or a module, makes prompts if needed."""
        self.domain = domain
        self._environment = environment
        self._source = source
        with self._guarded("max_turns"):
            self._max_turns = max_turns_from(environment.max_turns)

    @property
    def max_turns(self) -> int:
        """The most turns that the model gets in one episode."""
        return self._max_turns

    def respond(self, items: Sequence[Episode]) -> list[str | None]:
        """Answer each episode's last turn; None ends it."""
        replies: list[str | None] = []
        for item in items:
            with self._guarded("respond", item.prompt.id):
                replies.append(reply_from(self._environment.respond(item.prompt, item.turns)))
        return replies

    def grade(self, items: Sequence[Episode]) -> list[Grade]:
        """Grade finished episodes, in order."""
        grades: list[Grade] = []
        for item in items:
            with self._guarded("grade", item.prompt.id):
                grades.append(grade_from(self._environment.grade(item.prompt, item.turns)))
        return grades

    def prompts(self, split: Split, count: int, seed: int) -> list[Prompt]:
        """Return ``count`` prompts of a split, as they would come back from a file."""
        with self._guarded("prompts"):
            made = islice(self._need_source().prompts(split, count, seed), count + 1)
            return prompts_from_json(_round_trip([prompt_to_json(p) for p in made]), count)

    def demonstrations(self, count: int, seed: int) -> list[Demonstration]:
        """Return ``count`` worked examples, as they would come back from a file."""
        with self._guarded("demonstrations"):
            made = islice(self._need_source().demonstrations(count, seed), count + 1)
            rows = _round_trip([demonstration_to_json(d) for d in made])
            return demonstrations_from_json(rows, count)

    @contextmanager
    def _guarded(self, call: str, prompt_id: str = "") -> Iterator[None]:
        """Turn every error into EnvironmentFailure: the only boundary to a team's code."""
        try:
            yield
        except NonsenseError as error:
            raise EnvironmentFailure(self.domain, call, str(error), prompt_id=prompt_id) from error
        except Exception as error:
            raise EnvironmentFailure(
                self.domain,
                call,
                f"raised {type(error).__name__}",
                prompt_id=prompt_id,
                details="".join(traceback.format_exception(error)),
            ) from error

    def _need_source(self) -> PromptSource:
        if self._source is None:
            raise NonsenseError("has no source of prompts: pass `source` to LocalEnvironment")
        return self._source


def max_turns_from(value: object) -> int:
    """Return a usable ``max_turns``, or raise NonsenseError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TURNS:
        raise NonsenseError(
            f"is {shown(value)}: it must be the model's number of turns, 1 to {MAX_TURNS}"
        )
    return value


def reply_from(value: object) -> str | None:
    """Return what ``respond`` may return, or raise NonsenseError."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise NonsenseError(
            f"returned a {type(value).__name__}: it must return text, or None to end"
        )
    try:
        num_bytes = len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise NonsenseError(f"returned text that is not Unicode ({error.reason})") from error
    if num_bytes > REPLY_BYTES:
        raise NonsenseError(f"returned {num_bytes} bytes: an answer may have at most {REPLY_BYTES}")
    return value


def grade_from(value: object) -> Grade:
    """Return what ``grade`` may return, or raise NonsenseError."""
    if not isinstance(value, Grade):
        raise NonsenseError(f"returned a {type(value).__name__}: it must return a Grade")
    return grade_of(value.score, value.reason)


def grade_of(score: object, reason: object) -> Grade:
    """Return a Grade of unchecked parts, or raise NonsenseError."""
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise NonsenseError(
            f"gave the score {shown(score)}: a score must be a number between 0 and 1"
        )
    if not isinstance(reason, str) or len(reason) > REPLY_BYTES:
        raise NonsenseError("gave no usable reason: it must be a few words of text")
    if _is_no_unicode(reason):
        raise NonsenseError(f"gave the reason {shown(reason)}, which is not Unicode")
    return Grade(float(score), reason)


def _is_no_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def prompts_from_json(rows: object, count: int) -> list[Prompt]:
    """Return exactly ``count`` prompts, each with its own id, or raise NonsenseError."""
    with _usable("prompts"):
        prompts = [prompt_from_json(row) for row in _exactly(rows, count)]
        refuse_repeated_ids(prompts)
    return prompts


def demonstrations_from_json(rows: object, count: int) -> list[Demonstration]:
    """Return exactly ``count`` demonstrations, or raise NonsenseError."""
    with _usable("demonstrations"):
        demonstrations = [demonstration_from_json(row) for row in _exactly(rows, count)]
    return demonstrations


@contextmanager
def _usable(name: str) -> Iterator[None]:
    try:
        yield
    except PromptError as error:
        raise NonsenseError(f"gave {name} that cannot be used: {error}") from error


def _exactly(rows: object, count: int) -> list[object]:
    if not isinstance(rows, list) or len(rows) != count:
        given = f"{len(rows)}" if isinstance(rows, list) and len(rows) < count else "more"
        raise NonsenseError(f"gave {given} rows instead of {count}: give exactly that many")
    return rows


def _round_trip(rows: object) -> object:
    return parse_json(json.dumps(rows, allow_nan=False))
