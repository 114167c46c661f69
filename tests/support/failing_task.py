"""Tasks that fail in the ways that a person meets in the console."""

import asyncio
import sys
import time

from lineage.artifacts import Artifact
from lineage.errors import RecalledError, UnknownReferenceError
from tasks.contracts.handover import Gated
from tasks.mopd.round_form import ConsolidationSpec
from tasks.platform.hosting import hosted
from tasks.platform.resources import Stage

SENTENCE = "math@released names nothing: the math team has released no teacher yet"


@hosted(Stage.PLAN)
def fail(name: str) -> None:
    """Meet a fault of code."""
    raise KeyError(name)


@hosted(Stage.PLAN)
def leave_open() -> None:
    """Leave an S3 client's session open, as flytekit does."""
    import aiohttp

    async def open_one() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    asyncio.new_event_loop().run_until_complete(open_one())


@hosted(Stage.PLAN)
def fail_with(start: Artifact, ending: str) -> Artifact:
    """End as a step that had an input does."""
    if ending == "refusal":
        raise UnknownReferenceError(SENTENCE)
    if ending == "network":
        raise ConnectionResetError("the store has gone")
    return start


@hosted(Stage.PLAN)
def fail_in_a_plan(gated: Gated, spec: ConsolidationSpec) -> None:
    """Refuse after the plan, as a step of a consolidation."""
    raise RecalledError(SENTENCE)


@hosted(Stage.PLAN)
def wait(seconds: float) -> None:
    """Say that it waits, and wait."""
    sys.stdout.write("waiting\n")
    sys.stdout.flush()
    time.sleep(seconds)
