"""The advantage of a turn by the same policy with a hint: Composer 2.5's self-distillation.

Nothing is sampled: the tokens of the turn are scored again, behind a context that holds the hint.
It ends the user's message before a first turn, and the tool's answer before a later one.

Shapes: C response tokens of a chunk.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.model.chat import ChatTokens
from tasks.model.log_probs import TokenBatch
from tasks.onpolicy.microbatch import Microbatch
from tasks.onpolicy.policy_gradient import policy_gradient
from tasks.rl.hint_settings import HintPlace, HintRule, HintSettings
from tasks.rl.token_numbers import Numbers, token_numbers
from tasks.rollout.collect import Rollout

HINT = "hint"
"""Name of the source, and of the numbers that are the log-probabilities with the hint."""
HINTED = "hinted"
"""Name of the numbers that are 1 for the tokens of a turn with a hint."""


@dataclass(frozen=True)
class HintedTurn:
    """A turn of a rollout, and the hint that it gets."""

    place: int
    """Index of the rollout."""
    turn: int
    """Index among the model's turns."""
    hint: str


class HintTeacher:
    """Scores turns by the policy as it is now, with a hint before each."""

    def __init__(
        self,
        settings: HintSettings,
        chat: ChatTokens,
        log_probs: Callable[[TokenBatch], Tensor],
        seed: int,
        positions: int | None,
    ) -> None:
        """Take the chat tokens with which the policy reads its prompts.

        A turn that has no room for its hint within ``positions`` gets none.
        """
        self._settings, self._chat, self._log_probs = settings, chat, log_probs
        self._seed, self._positions = seed, positions

    def numbers(self, step: int, rollouts: Sequence[Rollout]) -> list[dict[str, Numbers]]:
        """Return of each rollout the log-probabilities with the hint, and where there are any."""
        chosen = list(self._chosen(step, rollouts))
        hinted = [self._with_hint(rollouts[each.place], each) for each in chosen]
        fitting = [
            (each, rollout)
            for each, rollout in zip(chosen, hinted, strict=True)
            if self._positions is None or len(rollout.ids) <= self._positions
        ]
        scored = token_numbers([r for _, r in fitting], self._log_probs, self._chat.pad_id)
        of_rollout = {
            each.place: (each, own) for (each, _), own in zip(fitting, scored, strict=True)
        }
        return [
            _numbers(rollout, *of_rollout.get(place, (None, ())))
            for place, rollout in enumerate(rollouts)
        ]

    def _chosen(self, step: int, rollouts: Sequence[Rollout]) -> Iterator[HintedTurn]:
        located = [found for place, r in enumerate(rollouts) if (found := self._located(place, r))]
        if self._settings.place is HintPlace.LOCATED:
            yield from located
            return
        draw = random.Random(f"{self._seed} {HINT} {step}")
        counts = Counter(rollouts[found.place].domain for found in located)
        for domain, count in sorted(counts.items()):
            hints = [found.hint for found in located if rollouts[found.place].domain == domain]
            places = [p for p, r in enumerate(rollouts) if r.domain == domain and _is_whole(r)]
            for place, hint in zip(sorted(draw.sample(places, count)), hints, strict=True):
                yield HintedTurn(place, draw.randrange(len(turns_of(rollouts[place]))), hint)

    def _located(self, place: int, rollout: Rollout) -> HintedTurn | None:
        if not _is_whole(rollout):
            return None
        for turn, words in enumerate(_said(rollout)):
            for rule in self._settings.rules:
                if _finds(rule, rollout.domain, words):
                    return HintedTurn(place, turn, rule.hint)
        return None

    def _with_hint(self, rollout: Rollout, chosen: HintedTurn) -> Rollout:
        """Return the episode up to the end of the turn, with the hint before it."""
        spans = turns_of(rollout)
        span, mode = spans[chosen.turn], rollout.prompt.mode
        if chosen.turn == 0:
            *before, asked = rollout.prompt.messages
            said = [*before, replace(asked, content=f"{asked.content}\n{chosen.hint}")]
            context = self._chat.prompt([vars(message) for message in said], mode)
        else:
            replies = [turn.content for turn in rollout.turns if turn.role == "tool"]
            reply = f"{replies[chosen.turn - 1]}\n{chosen.hint}"
            kept = rollout.ids[: spans[chosen.turn - 1].stop]
            context = [*kept, *self._chat.tool_reply(reply, mode)]
        own = rollout.ids[span.start : span.stop]
        return replace(
            rollout,
            ids=(*context, *own),
            is_response=(*[False] * len(context), *[True] * len(own)),
            sampler_log_probs=(0.0,) * (len(context) + len(own)),
        )


def turns_of(rollout: Rollout) -> list[slice]:
    """Return the places of the tokens of each of the model's turns."""
    spans: list[slice] = []
    start = None
    for place, written in enumerate((*rollout.is_response, False)):
        if written and start is None:
            start = place
        if not written and start is not None:
            spans.append(slice(start, place))
            start = None
    return spans


def _said(rollout: Rollout) -> list[str]:
    return [turn.content for turn in rollout.turns if turn.role == "assistant"]


def _is_whole(rollout: Rollout) -> bool:
    """Return whether each turn of the text has tokens of its own; a merged one has no place."""
    return 0 < len(_said(rollout)) == len(turns_of(rollout))


def hint_loss(
    student_C: Tensor, batch: Microbatch, chunk: slice, weight_C: Tensor, settings: HintSettings
) -> tuple[Tensor, Tensor]:
    """Return the loss of each token, 0 outside the turns with a hint, and its advantage.

    The advantage is log p_with_hint - log p, clipped, as in the sampled form of MOPD.
    """
    gap_C = batch.numbers_N[HINT][chunk] - student_C.detach()
    advantage_C = gap_C.clamp(-settings.clip, settings.clip) * batch.numbers_N[HINTED][chunk]
    return settings.weight * policy_gradient(student_C, advantage_C, weight_C), advantage_C


def _finds(rule: HintRule, domain: str, words: str) -> bool:
    is_there = not rule.domains or domain in rule.domains
    return is_there and re.search(rule.pattern, words, re.DOTALL) is not None


def _numbers(rollout: Rollout, chosen: HintedTurn | None, scored: Numbers) -> dict[str, Numbers]:
    log_probs = torch.zeros(len(rollout.ids), dtype=torch.float64)
    hinted = torch.zeros(len(rollout.ids))
    if chosen is not None:
        span = turns_of(rollout)[chosen.turn]
        log_probs[span], hinted[span] = torch.tensor(scored, dtype=torch.float64), 1.0
    written = torch.tensor(rollout.is_response, dtype=torch.bool)
    return {HINT: tuple(log_probs[written].tolist()), HINTED: tuple(hinted[written].tolist())}
