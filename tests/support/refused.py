"""What a refusal is by: its type and its code, and the names that its message must hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.contracts.refusal import RefusedError


@contextmanager
def refused(code: str, *names: str) -> Iterator[None]:
    """Expect a refusal with this code, whose message holds these names and numbers."""
    with pytest.raises(RefusedError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)
    for name in names:
        assert name in str(caught.value)
