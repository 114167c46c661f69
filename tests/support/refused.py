"""What a refusal is by: its type and its code, and the names that its message must hold."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

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
