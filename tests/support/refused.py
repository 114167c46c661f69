"""What a refusal is by: its type and its code, and the names that its message must hold."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from pydantic import ValidationError

from tasks.contracts.refusal import RefusedError


def refused(code: str, *names: str) -> AbstractContextManager[None]:
    """Expect a refusal with this code, whose message holds these names and numbers."""
    return raised(RefusedError, code, *names)


@contextmanager
def raised(kind: type[Exception], code: str, *names: str) -> Iterator[None]:
    """Expect an error of this type and code, whose message holds these names and numbers."""
    with pytest.raises(kind) as caught:
        yield
    assert caught.value.code == code, str(caught.value)
    for name in names:
        assert name in str(caught.value)


@contextmanager
def invalid(code: str, *names: str) -> Iterator[None]:
    """Expect pydantic to find this fault, whose place or message holds these names and numbers."""
    with pytest.raises(ValidationError) as caught:
        yield
    found = faults(caught.value)
    assert code in found, found
    for name in names:
        assert name in found[code]


def faults(error: ValidationError) -> dict[str, str]:
    """Return place and message of each fault: by the code of our refusal, or by pydantic's type.

    The whole text of the error would hold every name, because it quotes what was given.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for fault in error.errors():
        code = getattr(fault.get("ctx", {}).get("error"), "code", fault["type"])
        found[code].append(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}")
    return {code: "\n".join(texts) for code, texts in found.items()}
