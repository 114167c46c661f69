"""Names of a graph's nodes, as Flyte's console shows them."""

from typing import TypeVar, cast

from flytekit.core.promise import Promise

Result = TypeVar("Result")


def named(name: str, made: Result) -> Result:
    """Give the node that makes a result its name, which is also its id: words with dashes."""
    return cast("Result", cast("Promise", made).with_overrides(node_name=name, name=name))
