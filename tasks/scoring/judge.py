"""A judge: a policy that reads a rubric, writes its verdict, and is held to its last line.

A generative reward model. The verdict counts only if its last line, and no other line, is
``Score: N`` (or ``Better: 1``, ``Better: 2``, ``Better: tie`` for a pair) and the turn ended by
itself. Anything else is unparsable: it gets the score that the settings state, and is counted. A
pair is judged in both orders, because judges favor a place.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tasks.contracts.refusal import RefusedError
from tasks.model.files import Policy
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.collect import Question
from tasks.rollout.domains import make_player, seed_of
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tasks.rollout.responses import ScoredResponse
from tasks.rollout.thoughts import without_thoughts
from tasks.scoring.scorer import Judgment
from tasks.scoring.settings import JudgeSettings, Shown

_NAME = "judge"
_SCORE_LINE = re.compile(r"Score: (-?[0-9]{1,9})")
_BETTER_LINE = re.compile(r"Better: (1|2|tie)")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_BETWEEN_CALLS = "\n---\n"
_CUT = "\n[cut off]"
"""Added to a verdict that did not end by itself, so that it is not parsed."""


@dataclass(frozen=True)
class PairJudgment:
    """Which of two responses a judge prefers, over both orders and all calls."""

    preference: float
    """Mean vote from -1 (always the second) to 1 (always the first); 0 if the orders contradict."""
    texts: tuple[str, ...]
    """The verdicts: those in the given order first, then those in the other."""
    num_tokens: int
    num_unparsed: int
    """Number of verdicts that count as a tie because they could not be parsed."""


class _Verdict(NamedTuple):
    """What the judge wrote in one call."""

    text: str
    num_tokens: int


class Judge:
    """Scores responses, or compares two, with a policy and a rubric.

    A verdict depends on the seed and on what the judge is shown alone, not on what else is judged.
    """

    def __init__(self, policy: Policy, settings: JudgeSettings, seed: int) -> None:
        """Take the policy, which stays the caller's."""
        self._settings, self._seed = settings, seed
        self._player = make_player(
            {_NAME: LocalEnvironment(_Silence(), domain=_NAME)}, policy, settings.sampling
        )

    def score(self, responses: Sequence[ScoredResponse]) -> list[float]:
        """Return the score of each response."""
        return [each.score for each in self.judge(responses)]

    def judge(self, responses: Sequence[ScoredResponse]) -> list[Judgment]:
        """Return the score of each response with the verdict in the judge's own words.

        Raises:
            RefusedError: ``prompt-too-long`` where rubric, prompt and response leave no room.
        """
        shown = [score_prompt(response, self._settings) for response in responses]
        verdicts = self._verdicts(shown)
        return [self._judgment(each) for each in verdicts]

    def compare(self, pairs: Sequence[tuple[ScoredResponse, ScoredResponse]]) -> list[PairJudgment]:
        """Return the judge's preference between two responses to one prompt, in both orders."""
        shown = [pair_prompt(pair, self._settings) for pair in pairs]
        swapped = [pair_prompt((other, one), self._settings) for one, other in pairs]
        verdicts = self._verdicts([*shown, *swapped])
        forward, backward = verdicts[: len(pairs)], verdicts[len(pairs) :]
        return [_preference(*both) for both in zip(forward, backward, strict=True)]

    def _judgment(self, verdicts: Sequence[_Verdict]) -> Judgment:
        read = [parsed_score(verdict.text, self._settings) for verdict in verdicts]
        scores = [self._settings.score_if_unparsable if each is None else each for each in read]
        return Judgment(
            score=sum(scores) / len(scores),
            text=_BETWEEN_CALLS.join(verdict.text for verdict in verdicts),
            num_tokens=sum(verdict.num_tokens for verdict in verdicts),
            is_parsed=None not in read,
        )

    def _verdicts(self, shown: Sequence[str]) -> list[list[_Verdict]]:
        """Return the verdicts on each prompt, one per call."""
        calls = self._settings.calls
        if not shown:
            return []
        rollouts = self._player.play(
            [self._question(text) for text in shown for _ in range(calls)],
            torch.stack([self._noise(text, call) for text in shown for call in range(calls)]),
        )
        written = [
            _Verdict(
                each.turns[-1].content + (_CUT if each.truncated else ""), each.num_response_tokens
            )
            for each in rollouts
        ]
        return [written[place : place + calls] for place in range(0, len(written), calls)]

    def _question(self, text: str) -> Question:
        prompt = Prompt(_NAME, (Message("user", text),), mode=self._settings.mode)
        return Question(_NAME, prompt)

    def _noise(self, text: str, call: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_of(self._seed, call, text))
        return torch.rand(self._player.noise_per_rollout, generator=generator)


class _Silence:
    """An environment that ends every episode after the judge's turn; its grade is not read."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        return Grade(0.0)


def score_prompt(response: ScoredResponse, settings: JudgeSettings) -> str:
    """Return what a judge is shown of one response."""
    bounds = {"lowest": str(settings.lowest), "highest": str(settings.highest)}
    fields = _fields(response, settings) | bounds | {"response": _said(response, settings)}
    return filled(settings.score_template, fields)


def pair_prompt(pair: tuple[ScoredResponse, ScoredResponse], settings: JudgeSettings) -> str:
    """Return what a judge is shown of two responses to one prompt."""
    first, second = pair
    fields = {"first": _said(first, settings), "second": _said(second, settings)}
    return filled(settings.pair_template, _fields(first, settings) | fields)


def verdict_on(score: float, settings: JudgeSettings) -> str:
    """Return the last line of a verdict: the number of the scale next to a score from 0 to 1."""
    share = min(max(score, 0.0), 1.0)
    return f"Score: {settings.lowest + round(share * (settings.highest - settings.lowest))}"


def _fields(response: ScoredResponse, settings: JudgeSettings) -> dict[str, str]:
    if any(message.images for message in response.prompt.messages):
        raise RefusedError(
            "image-for-text-model",
            f"the prompt {response.prompt.id!r} has an image, and a judge reads text alone: judge "
            "responses to prompts of text",
        )
    said = [(message.role, message.content) for message in response.prompt.messages]
    return {"rubric": settings.rubric, "prompt": _as_text(said)}


def _said(response: ScoredResponse, settings: JudgeSettings) -> str:
    is_answer = settings.shown is Shown.ANSWER
    return _as_text(
        [(t.role, without_thoughts(t.content) if is_answer else t.content) for t in response.turns]
    )


def filled(template: str, fields: Mapping[str, str]) -> str:
    """Return a template with its placeholders filled in; what is filled in is not read again."""
    return _PLACEHOLDER.sub(lambda found: fields.get(found[1], found[0]), template)


def parsed_score(text: str, settings: JudgeSettings) -> float | None:
    """Return the score of a verdict; None unless one line, the last, is a score on the scale."""
    word = _last_line(text, _SCORE_LINE)
    if word is None or not settings.lowest <= int(word) <= settings.highest:
        return None
    return float(word)


def parsed_choice(text: str) -> str | None:
    """Return ``1``, ``2`` or ``tie``; None unless one line, the last, is a choice."""
    return _last_line(text, _BETTER_LINE)


def _last_line(text: str, pattern: re.Pattern[str]) -> str | None:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [match for line in lines if (match := pattern.fullmatch(line))]
    if len(found) != 1 or not pattern.fullmatch(lines[-1]):
        return None
    return str(found[0][1])


def _preference(forward: Sequence[_Verdict], backward: Sequence[_Verdict]) -> PairJudgment:
    sign = {"1": 1.0, "2": -1.0}
    read = [parsed_choice(verdict.text) for verdict in forward]
    swapped = [parsed_choice(verdict.text) for verdict in backward]
    votes = [sign.get(str(each), 0.0) for each in read]
    votes += [-sign.get(str(each), 0.0) for each in swapped]
    verdicts = (*forward, *backward)
    return PairJudgment(
        preference=sum(votes) / len(votes),
        texts=tuple(verdict.text for verdict in verdicts),
        num_tokens=sum(verdict.num_tokens for verdict in verdicts),
        num_unparsed=[*read, *swapped].count(None),
    )


def _as_text(said: Sequence[tuple[str, str]]) -> str:
    """Return messages as text; a single one needs no role."""
    if len(said) == 1:
        return said[0][1]
    return "\n\n".join(f"{role}:\n{content}" for role, content in said)
