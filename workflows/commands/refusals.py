"""One-sentence explanations of Flyte errors, with the next step."""

import grpc  # type: ignore[import-untyped]
from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.system import FlyteSystemUnavailableException
from flytekit.exceptions.user import FlyteAuthenticationException

_UNSIGNED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_NO_PROJECT = ("failed to validate that project", "is not active")
_OVER_LIMIT = "set in the platform configuration"

_ADVICE_NO_PROJECT = (
    "the project has to be there first: register with --create-project, or see "
    "docs/guides/add-a-team.md"
)
_ADVICE_LIMIT = (
    "choose a smaller --flavour, or ask the platform to raise task_resources.limits in the values "
    "of its Flyte"
)
_ADVICE_ADDRESS = (
    "check that it is up and that this machine reaches it; the address is `endpoint` in the file "
    "that $FLYTECTL_CONFIG names"
)
_ADVICE_LOGIN = (
    "sign in again: what `admin` of the file that $FLYTECTL_CONFIG names says of the login was "
    "refused"
)


def details(error: BaseException) -> str:
    """Return what the cluster itself said, on one line; else the error's own text."""
    call = _call(error)
    said = str((call.details() if call else "") or error or type(error).__name__)
    return " ".join(said.split())


def advice(error: FlyteException) -> str:
    """Return the next step after a refusal; "" if the cluster's own message suffices."""
    said, call = details(error), _call(error)
    if isinstance(error, FlyteAuthenticationException) or (call and call.code() in _UNSIGNED):
        return _ADVICE_LOGIN
    if isinstance(error, FlyteSystemUnavailableException):
        return _ADVICE_ADDRESS
    if any(words in said for words in _NO_PROJECT):
        return _ADVICE_NO_PROJECT
    return _ADVICE_LIMIT if _OVER_LIMIT in said else ""


def sentence(error: FlyteException) -> str:
    """Return what the cluster said, and what to do next."""
    said, next_step = details(error).rstrip("."), advice(error)
    return f"{said}. {next_step[0].upper()}{next_step[1:]}" if next_step else f"{said}."


def _call(error: BaseException) -> grpc.Call | None:
    """Return the call that failed, which flytekit's exceptions were raised from."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, grpc.RpcError) and isinstance(seen, grpc.Call):
            return seen
        seen = seen.__cause__
    return None
