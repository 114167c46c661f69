"""Comparisons as rows of a stage: those that say which response is better, and their tokens."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens, Tokens
from tasks.rollout.environment import Turn
from tasks.rollout.responses import PreferencePair, Strength
from tasks.scoring.reward_model import episode_tokens


@dataclass(frozen=True)
class TokenPair:
    """The two responses of a comparison, each behind its prompt."""

    chosen: Tokens
    rejected: Tokens


def decided(comparisons: Iterable[PreferencePair]) -> list[PreferencePair]:
    """Return the comparisons that are not ties.

    Raises:
        RefusedError: ``only-ties`` without any.
    """
    kept = [pair for pair in comparisons if pair.strength is not Strength.TIE]
    if not kept:
        raise RefusedError(
            "only-ties",
            "no comparison says which response is better: give comparisons that are not ties",
        )
    return kept


def is_at_least(pair: PreferencePair, least: Strength) -> bool:
    """Return whether a preference is as strong as ``least`` or stronger."""
    order = list(Strength)
    return order.index(pair.strength) <= order.index(least)


def token_pair(pair: PreferencePair, chat: ChatTokens) -> TokenPair:
    """Return the tokens of both responses.

    Raises:
        RefusedError: ``missing-side`` for a side without a turn of the model, ``same-response``
            for equal responses.
    """
    tokens = TokenPair(_side(pair, pair.chosen, chat), _side(pair, pair.rejected, chat))
    if tokens.chosen == tokens.rejected:
        raise RefusedError(
            "same-response",
            f"a comparison of the prompt {pair.prompt!r} has the same response on both sides: "
            "remove it, or give it the strength of a tie",
        )
    return tokens


def _side(pair: PreferencePair, turns: tuple[Turn, ...], chat: ChatTokens) -> Tokens:
    tokens = episode_tokens(chat, pair.messages, turns, pair.mode)
    if not any(tokens.is_response):
        raise RefusedError(
            "missing-side",
            f"a comparison of the prompt {pair.prompt!r} has a side without a turn of the model: "
            "remove it, or give both responses",
        )
    return tokens
