"""Bounds untrusted values, as JSON and in messages. Standard library only."""

import math

from tasks.rollout.environment import Json

MAX_DEPTH = 64
SHOWN_CHARACTERS = 500


class NotJsonError(Exception):
    """A program returned or printed an unusable value."""


def cut(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Return text shortened for a message; a cut text ends with its full length."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def shown(value: object) -> str:
    """Return a value of others as Python writes it, cut; its type where Python refuses."""
    try:
        return cut(repr(value))
    except (ValueError, RecursionError):  # a number of too many digits, lists too deep
        return f"a {type(value).__name__}"


def json_of(value: object, max_bytes: int) -> Json:
    """Return a value as JSON, tuples as lists.

    A small object may be a huge tree (a list that holds itself twice, thirty times over), so the
    bytes are counted while walking.

    Raises:
        NotJsonError: JSON cannot say it, or not in about ``max_bytes`` bytes and 64 levels.
    """
    return _Walk(max_bytes).json(value, 0)


class _Walk:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._left = max_bytes

    def json(self, value: object, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise NotJsonError(f"returned more than {MAX_DEPTH} levels of lists")
        if isinstance(value, list | tuple):
            self._spend(2)
            return [self.json(item, depth + 1) for item in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            self._spend(2 + sum(len(key.encode()) for key in value))
            return {key: self.json(item, depth + 1) for key, item in value.items()}
        return self._leaf(value)

    def _leaf(self, value: object) -> Json:
        if value is None or isinstance(value, bool):
            self._spend(4)
        elif isinstance(value, int):
            self._spend(1 + value.bit_length() // 3)  # a decimal digit holds a little over 3 bits
        elif isinstance(value, float) and math.isfinite(value):
            self._spend(8)
        elif isinstance(value, str):
            self._spend(2 + len(value.encode()))
        else:
            # No repr: that of a small object may be endless too.
            raise NotJsonError(f"returned a {type(value).__name__} that is not a JSON value")
        return value

    def _spend(self, num_bytes: int) -> None:
        self._left -= num_bytes
        if self._left < 0:
            raise NotJsonError(f"returned more than {self._max_bytes} bytes")
