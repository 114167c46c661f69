"""Runs a workflow by Flyte's local execution, with messages for the person at the terminal.

Local execution ignores retries and time limits. A stage's time limit is kept by its task
(``tasks.platform.hosting``); retries are kept here: the workflow begins again, finds what is
finished in the store, and goes on within a stage from its last state.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from tasks.platform.resources import WAIT_POLICY
from workflows.commands.output import complain, decided, say, show_trace

if TYPE_CHECKING:
    from flytekit.core.context_manager import FlyteContext
    from flytekit.core.gate import Gate
    from flytekit.core.promise import Promise

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

OFFLINE = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    **WAIT_POLICY,
    # Finished work is found in the store; Flyte's local cache is shared by all projects of a user.
    "FLYTE_LOCAL_CACHE_ENABLED": "false",
}

ATTEMPT = "FLYTE_ATTEMPT_NUMBER"
"""Flyte's own; records attest it."""
LONGEST_WAIT_SECONDS = 60.0


def quiet() -> None:
    """Set what third parties would otherwise decide: telemetry, threads, caches."""
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)


def run_locally(
    workflow: Callable[Parameters, Result], *args: Parameters.args, **inputs: Parameters.kwargs
) -> Result:
    """Run a workflow in this process.

    A fault that the user can correct ends in one message; a bug ends in its traceback.
    """
    # flytekit replaces both on import: Ctrl-C would exit before anything could be tidied up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.excepthook = show_trace
    from flytekit.core.gate import Gate
    from flytekit.exceptions.user import FlyteDisapprovalException

    from tasks.model import rendering
    from tasks.platform.attempt import InterruptedAttemptError
    from tasks.platform.console_errors import is_explained

    # flytekit shows the whole value as JSON, and takes Enter for an approval.
    Gate.local_execute = _review
    rendering.prepare()  # it starts while torch is imported
    try:
        return _with_retries(lambda: workflow(*args, **inputs))
    except InterruptedAttemptError as error:
        complain(f"Stopped: {_without_prefix(error)}. Run the same command again to resume.")
        raise SystemExit(128 + signal.SIGTERM) from None
    except KeyboardInterrupt:
        complain("Stopped. Finished work is kept: run the same command again to resume.")
        raise SystemExit(130) from None
    except (click.Abort, FlyteDisapprovalException):
        say(err=True)
        complain(
            "Not approved: nothing was trained, and the plan is kept. Run the command again to "
            "approve it."
        )
        raise SystemExit(1) from None
    except (ValueError, LookupError, RuntimeError, OSError) as error:
        if os.environ.get("PROVOST_TRACEBACK") or not is_explained(error):
            raise
        say(err=True)
        complain(f"provost: {_without_prefix(error)}")
        raise SystemExit(1) from None


def _review(gate: "Gate", context: "FlyteContext", **gated: "Promise") -> "Promise":
    """Show the summary of the plan at a gate, and return the plan if the user approves it."""
    from flytekit.core.type_engine import TypeEngine
    from flytekit.exceptions.user import FlyteDisapprovalException

    from tasks.contracts.handover import Gated

    [promise] = gated.values()
    plan: Gated = TypeEngine.to_python_value(context, promise.val, Gated)
    for line in plan.summary.splitlines():
        say(line, err=True)
    if not decided(f"[{gate.name}] Approve this plan?"):
        raise FlyteDisapprovalException(f"User did not approve {gate.name}")
    return promise


def _with_retries(run: Callable[[], Result]) -> Result:
    """Run to the end, or until a stage has used its attempts; only transient faults are retried."""
    from tasks.platform.hosting import PassingFaultError
    from tasks.platform.resources import local_limits

    failed: Counter[str] = Counter()
    while True:
        os.environ[ATTEMPT] = str(failed.total())
        try:
            return run()
        except PassingFaultError as error:
            failed[error.stage] += 1
            allowed = local_limits(error.stage).retries
            if failed[error.stage] > allowed:
                raise RuntimeError(f"{error.told} ({allowed + 1} attempts)") from error
            wait = min(LONGEST_WAIT_SECONDS, 2.0 ** failed[error.stage])
            say(err=True)
            complain(error.told)
            complain(
                f"This may pass: retry {failed[error.stage]} of {allowed} of {error.stage} in "
                f"{wait:.0f} s."
            )
            time.sleep(wait)
        finally:
            del os.environ[ATTEMPT]


def _without_prefix(error: BaseException) -> str:
    """Return the message without the line that flytekit puts before it."""
    text = str(error)
    prefix, separator, rest = text.partition("\n")
    if separator and prefix.startswith("Error encountered while executing"):
        text = rest
    return text.strip()
