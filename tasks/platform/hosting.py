"""What makes a function a task: its stage's resources under the chosen flavor, and its faults.

Every task of the project is declared with ``hosted``. It is the one place that tells Flyte which
faults are worth another attempt, and that checks what an attempt needs before it begins.
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, cast

from flytekit import Deck, Resources, Secret, current_context, task
from flytekit.core.base_task import IgnoreOutputs
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.exceptions.system import FlyteNonRecoverableSystemException
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.extras.accelerators import GPUAccelerator
from pydantic import BaseModel

from images.names import placeholder
from lineage.trust.author import KEY_VARIABLE, given_key
from tasks.platform.attempt import InterruptedAttemptError, may_pass, watched_attempt
from tasks.platform.console_errors import FramelessError, Told, frameless, quiet_exit, told
from tasks.platform.provenance import attempt_number, flyte_run
from tasks.platform.resources import (
    FLAVOR,
    Flavor,
    ResourceError,
    Stage,
    StageResources,
    chosen_flavor,
    local_limits,
    require_gpus,
    wait_without_spinning,
)
from tasks.platform.views import marking_reuse
from tasks.reports.rendering import framed

_STORE = "PROVOST_STORE"
"""Variable set by ``infra/teams/060_places.yaml``, through the pod template of the registration."""
SIGNING_SECRET = "provost-signing"
"""The Kubernetes secret of a team's namespace that holds its private key ..."""
SIGNING_KEY = "key"
"""... under this key, in PEM."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Function = Callable[Parameters, Result]


class PassingFaultError(FlyteRecoverableException):  # type: ignore[misc]  # flytekit is untyped here
    """A fault that another attempt may not meet: of storage, network, or a machine taken away."""

    def __init__(self, stage: Stage, message: str) -> None:
        """Say in which stage, and what happened."""
        super().__init__(message)
        self.stage, self.told = stage, message

    def __str__(self) -> str:
        """Return the message alone, without Flyte's code."""
        return self.told


class MayPassError(FramelessError, FlyteRecoverableException):  # type: ignore[misc]
    """A passing fault, said for the console."""

    __module__ = "builtins"  # a traceback prints any other module before the name

    def __str__(self) -> str:
        """Return the message alone, without Flyte's code."""
        return str(self.args[0])


# flytekit would write the schema of a model again for each task and field that takes it: 1,600
# times, and a quarter of the time that a command or a pod needs to start.
_models = TypeEngine.get_transformer(BaseModel)
_models.get_literal_type = functools.cache(_models.get_literal_type)


def hosted(
    stage: Stage, *, deck: bool = False
) -> Callable[[Function[Parameters, Result]], Function[Parameters, Result]]:
    """Declare a task of ``stage``.

    Args:
        stage: Which machines it takes, how often and how long it may run: ``infra/resources``.
        deck: It draws a page that Flyte's console shows beside it.
    """
    arguments = hosting(stage)
    if deck:
        arguments |= {"enable_deck": True, "deck_fields": ()}
    if arguments:  # every step leaves a record, which is signed
        arguments["secret_requests"] = [_signing_secret()]
    declare = cast("Callable[..., Callable[..., object]]", task)(**arguments)

    def decorate(body: Function[Parameters, Result]) -> Function[Parameters, Result]:
        declared = declare(_attempted(stage, marking_reuse(body, show if deck else None)))
        # Flyte 2, under its shim, has no such step, and its console shows an error's own sentence.
        taken = telling(stage, declared) if hasattr(declared, "dispatch_execute") else declared
        return cast("Function[Parameters, Result]", taken)

    return decorate


def show(name: str, page: str) -> None:
    """Put a whole page into the running task's Deck, there also where the task fails afterwards.

    A page of the same name is replaced.
    """
    decks = current_context().decks
    decks[:] = [deck for deck in decks if deck.name != name]
    Deck(name, framed(name, page))
    Deck.publish()


def telling(stage: Stage, task: Any) -> Any:  # noqa: ANN401 - flytekit's tasks have no useful type
    """Have a declared task raise errors that read well in the console, where Flyte hosts it."""
    execute, dispatch = task.execute, task.dispatch_execute

    def told_execute(**inputs: object) -> object:
        if _is_local():
            return execute(**inputs)
        quiet_exit()
        try:
            return execute(**inputs)
        except IgnoreOutputs:  # how a pod ends if another rank gives the output
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, a person has to read it
            may_pass_again = isinstance(error, FlyteRecoverableException)
            if not may_pass_again or _is_last_attempt(stage):
                _leave_record(task.name, inputs, told(error))
            raise _for_the_console(error) from None

    def told_dispatch(*args: object, **more: object) -> object:
        try:
            return dispatch(*args, **more)
        except FlyteNonRecoverableSystemException as error:
            # Inputs of the wrong type, which the console's form does not check.
            raise FlyteNonRecoverableSystemException(frameless(error.value)) from None

    task.execute, task.dispatch_execute = told_execute, told_dispatch
    return task


def _for_the_console(error: Exception) -> Exception:
    if isinstance(error, FlyteRecoverableException):
        return MayPassError(told(error).sentence)
    return frameless(error)


def _is_last_attempt(stage: Stage) -> bool:
    flavor = chosen_flavor()
    return attempt_number() >= (flavor.stages[stage].retries if flavor else 0)


def _leave_record(name: str, inputs: Mapping[str, object], said: Told) -> None:
    """Record a failure before the pod ends; Flyte's own failure node is not always run."""
    from tasks.platform.failure import Failure, Work, leave_record, recorded_inputs  # noqa: PLC0415
    from tasks.platform.step_runner import StepRunner  # noqa: PLC0415 - seldom needed

    if not os.environ.get(_STORE):
        return  # a record in the pod's own scratch would be lost with it
    failure = Failure(name, said.name, said.sentence, said.frames)
    try:
        leave_record(StepRunner(), failure, Work(recorded_inputs(inputs)))
    except Exception:
        # The first error is the one to read; `provost runs` tells that it has no record.
        logging.getLogger(__name__).exception("the failure of %s was not recorded", name)


def _attempted(stage: Stage, body: Function[Parameters, Result]) -> Function[Parameters, Result]:
    """Wrap ``body`` as one attempt: preconditions, orderly end, transient and permanent errors."""

    @functools.wraps(body)
    def attempt(*args: Parameters.args, **inputs: Parameters.kwargs) -> Result:
        is_local = _is_local()
        _require_registration()
        wait_without_spinning()
        _check_signing_key(required=not is_local and chosen_flavor() is not None)
        require_gpus(stage)
        # Flyte keeps the time itself where it starts the pod.
        limit = local_limits(stage).time_limit_minutes * 60.0 if is_local else None
        try:
            with watched_attempt(body.__name__, limit) as notice:
                result = body(*args, **inputs)
                if is_local:
                    notice.raise_given()  # interrupted after its last step: start no other task
        except Exception as error:
            # A person's Ctrl-C or SIGTERM on this machine ends the run; Flyte's asks for another.
            stopped_here = is_local and isinstance(error, InterruptedAttemptError)
            if may_pass(error) and not stopped_here:
                raise PassingFaultError(stage, f"{type(error).__name__}: {error}") from error
            raise
        return result

    return attempt


def _is_local() -> bool:
    """Return whether flytekit runs this task on the machine at hand, rather than in its pod."""
    state = FlyteContextManager.current_context().execution_state
    return state is not None and state.is_local_execution()


def _require_registration() -> None:
    """Raise an error in a pod that has no store: what it makes would be lost with it.

    ``pyflyte register`` and ``pyflyte run --remote`` give a pod neither image nor pod template.
    """
    if flyte_run() and not os.environ.get(_STORE):
        raise ResourceError(
            "no-resources",
            f"this task was registered without Provost's resources (${_STORE} is not set "
            "in its pod): use `provost register` instead of pyflyte",
        )


def _check_signing_key(*, required: bool) -> None:
    """Raise an error if the signing key is missing or invalid, before any work starts."""
    if given_key() is None and required:
        raise ResourceError(
            "no-signing-key",
            f"this pod has no signing key, so its records would not count: add {SIGNING_KEY} "
            f"(PEM) to the secret {SIGNING_SECRET} of its namespace, for "
            f"${KEY_VARIABLE}_FILE. Create a key with `provost teacher keygen FILE`",
        )


def _signing_secret() -> Secret:
    return Secret(
        group=SIGNING_SECRET,
        key=SIGNING_KEY,
        env_var=f"{KEY_VARIABLE}_FILE",
        # A file, which is hidden from a team's environment; variables of a parent need not be.
        mount_requirement=Secret.MountType.FILE,
    )


def hosting(stage: Stage) -> dict[str, object]:
    """Return the arguments for ``@task`` of a stage under $PROVOST_FLAVOR; none without one.

    A stage of several ranks becomes an Elastic task, which imports torch where it is declared and
    needs the extra ``cluster``. The container imports the task again, so that the flavor goes
    into its environment.

    Raises:
        ResourceError: if the flavor does not exist or is not valid.
    """
    flavor = chosen_flavor()
    return _arguments(flavor, flavor.stages[stage]) if flavor else {}


def _arguments(flavor: Flavor, wanted: StageResources) -> dict[str, object]:
    size = Resources(
        cpu=str(wanted.cpu),
        mem=wanted.memory,
        gpu=str(wanted.gpus) if wanted.gpus else None,
        ephemeral_storage=wanted.disk,
    )
    arguments: dict[str, object] = {
        "container_image": placeholder(wanted.image),
        "environment": {FLAVOR: flavor.name},
        # A pod that gets what it asks for and no more is the last that a full node evicts.
        "requests": size,
        "limits": size,
        "interruptible": wanted.spot,
        "retries": wanted.retries,
        "timeout": timedelta(minutes=wanted.time_limit_minutes),
        "pod_template_name": wanted.pod_template,
    }
    if wanted.shared_memory:
        arguments["shared_memory"] = wanted.shared_memory
    if wanted.gpus:
        arguments["accelerator"] = GPUAccelerator(flavor.gpu)
    if wanted.num_ranks > 1:
        arguments["task_config"] = _elastic(wanted)
    return arguments


def _elastic(wanted: StageResources) -> object:
    """Return the launcher of several ranks: torch's own, which no CPU flavor has to have."""
    from flytekitplugins.kfpytorch import Elastic  # noqa: PLC0415

    # No restarts inside a pod: what may pass is retried as a new attempt, from the last state.
    # Shared memory is the task's own argument; the plugin would add a pod template of its own.
    return Elastic(
        nnodes=wanted.nodes,
        nproc_per_node=wanted.gpus,
        max_restarts=0,
        increase_shared_mem=False,
    )
