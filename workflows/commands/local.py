"""Runs a workflow by Flyte's local execution, the way a person wants to see it run."""

import os
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

OFFLINE = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    # Finished work is found in the store; Flyte's local cache is shared by all projects of a user.
    "FLYTE_LOCAL_CACHE_ENABLED": "false",
}


def quiet() -> None:
    """Set what third parties would otherwise decide: telemetry, threads, caches."""
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)


def run_locally(
    workflow: Callable[Parameters, Result], *args: Parameters.args, **inputs: Parameters.kwargs
) -> Result:
    """Run a workflow in this process; a fault of the user's ends in one message, not a trace."""
    # flytekit replaces both on import: Ctrl-C would exit before anything could be tidied up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.excepthook = sys.__excepthook__
    try:
        return workflow(*args, **inputs)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was finished is kept: run the same again to go on.\n")
        raise SystemExit(130) from None
    except (ValueError, LookupError, RuntimeError, OSError) as error:
        if os.environ.get("PROVOST_TRACEBACK"):
            raise
        sys.stderr.write(f"\nprovost: {_without_prefix(error)}\n")
        raise SystemExit(1) from None


def _without_prefix(error: BaseException) -> str:
    """Return the message without the line that flytekit puts before it."""
    text = str(error)
    prefix, separator, rest = text.partition("\n")
    if separator and prefix.startswith("Error encountered while executing"):
        text = rest
    return text.strip()
