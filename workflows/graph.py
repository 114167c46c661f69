"""What the graphs are built with: a pydantic model as a workflow's inputs, and nodes with names."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from flytekit.core.promise import Promise
from flytekit.models.literals import RetryStrategy
from pydantic import BaseModel

from tasks.platform.resources import Stage, chosen_flavor

Function = TypeVar("Function", bound=Callable[..., Any])


def defaults(form: type[BaseModel]) -> dict[str, Any]:
    """Return the default of each input."""
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in form.model_fields.items()
    }


def inputs_of(form: type[BaseModel], more: Mapping[str, str]) -> Callable[[Function], Function]:
    """Give a workflow function, which takes ``**inputs``, the inputs of a form.

    Args:
        form: One field for each input, each with a description.
        more: What else can be set, by name; the workflow's description lists it.
    """

    def decorate(function: Function) -> Function:
        first = defaults(form)
        kinds = {name: field.annotation for name, field in form.model_fields.items()}
        result = inspect.signature(function).return_annotation
        parameters = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=first[name], annotation=kind
            )
            for name, kind in kinds.items()
        ]
        described: Any = function
        described.__signature__ = inspect.Signature(parameters, return_annotation=result)
        described.__annotations__ = {**kinds, "return": result}
        described.__doc__ = _docstring(inspect.getdoc(function) or "", form, more)
        return function

    return decorate


def _docstring(text: str, form: type[BaseModel], more: Mapping[str, str]) -> str:
    further = [f"{name}: {told}" for name, told in more.items()]
    inputs = [f"    {name}: {field.description}" for name, field in form.model_fields.items()]
    listed = ["Settings by name:", "", *further, ""] if further else []
    return "\n".join([text, "", *listed, "Args:", *inputs])


Result = TypeVar("Result")


def named(name: str, made: Result) -> Result:
    """Give the node that makes a result its name, which is also its id: words with dashes."""
    given = cast("Promise", made).with_overrides(node_name=name, name=name)
    first = given[0] if isinstance(given, tuple) else given
    if first.ref is not None:  # local execution has no nodes
        first.ref.node.metadata._name = name  # flytekit names only the items of a map task
    return cast("Result", given)


def attempted(stage: Stage, made: Result) -> Result:
    """Give a map task's node the retries of its stage; Flyte ignores those of its task.

    Without a flavor the node keeps its defaults.
    """
    flavor = chosen_flavor()
    if flavor is None:
        return made
    retries = flavor.stages[stage].retries
    promise = cast("Promise", made).with_overrides(retries=retries)  # flytekit: of its items
    if promise.ref is not None:
        # Flyte reads them from the node itself: https://github.com/flyteorg/flyte/issues/6800
        promise.ref.node.metadata._retries = RetryStrategy(retries)
    return cast("Result", promise)
