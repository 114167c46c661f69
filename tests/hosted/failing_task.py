"""Tasks that fail in the ways that a person meets in the console."""

import asyncio

from lineage.errors import UnknownReferenceError
from tasks.hosting import hosted
from tasks.resources import Stage

SENTENCE = "math@released names nothing: the math team has released no teacher yet"


@hosted(Stage.PLAN)
def fail(ending: str) -> None:
    """Refuse, or meet a fault of code."""
    if ending == "refusal":
        raise UnknownReferenceError(SENTENCE)
    if ending == "fault":
        raise KeyError("math")


@hosted(Stage.PLAN)
def leave_open() -> None:
    """Leave an S3 client's session open, as flytekit does."""
    import aiohttp

    async def open_one() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    asyncio.new_event_loop().run_until_complete(open_one())
