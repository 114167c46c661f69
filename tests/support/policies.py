"""What a set of AWS policies allows: a small evaluator, strict about what it does not know.

moto has one, but there a condition that does not hold denies instead of not applying. Rules:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

_FIELDS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Request:
    """One call of S3."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys that the call has, with their values."""


def allowed(policies: Sequence[Mapping[str, Any]], request: Request) -> bool:
    """Return whether a role with these policies, its own and the bucket's, may make a request.

    What nobody allows is denied, and a denial outweighs every permission. Raises ValueError for a
    part of a policy that this evaluator does not know.
    """
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if _applies(statement, request)
    }
    return effects == {"Allow"}


def read_policy(path: Path, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a policy with its placeholders filled in."""
    text = path.read_text("utf-8")
    for name, value in names.items():
        text = text.replace(name, value)
    policy: dict[str, Any] = json.loads(text)
    return policy


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    if unknown := statement.keys() - _FIELDS:
        raise ValueError(f"a statement has {sorted(unknown)}, which is not evaluated here")
    if statement["Effect"] not in {"Allow", "Deny"} or statement.get("Principal", "*") != "*":
        raise ValueError(f"statement {statement.get('Sid')!r} has an effect or a principal unknown")
    return (
        any(
            _is_like(pattern, request.action, re.IGNORECASE)
            for pattern in _many(statement["Action"])
        )
        and any(_is_like(pattern, request.resource) for pattern in _many(statement["Resource"]))
        and all(
            _holds(test, {key.lower(): value for key, value in request.context.items()}, key, value)
            for test, pairs in statement.get("Condition", {}).items()
            for key, value in pairs.items()
        )
    )


def _holds(test: str, context: Mapping[str, str], key: str, expected: JsonValue) -> bool:
    found = context.get(key.lower())
    values = [str(value).lower() for value in _many(expected)]
    if test == "Null":
        return str(found is None).lower() in values
    if test == "Bool":
        return found is not None and found.lower() in values
    raise ValueError(f"condition {test!r} is not evaluated here")


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_like(pattern: str, text: str, flags: int = 0) -> bool:
    """Compare as AWS does: ``*`` is any letters, ``/`` too, and ``?`` is one."""
    parts = (".*" if mark == "*" else "." if mark == "?" else re.escape(mark) for mark in pattern)
    return re.fullmatch("".join(parts), text, flags | re.DOTALL) is not None
