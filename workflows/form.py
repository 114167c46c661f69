"""A pydantic model as the inputs of a Flyte workflow: names, types, defaults and descriptions."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

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
