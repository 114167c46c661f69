"""Names of a graph's nodes, as Flyte's console shows them."""

from typing import TypeVar, cast

from flytekit.core.promise import Promise
from flytekit.models.literals import RetryStrategy

from tasks.platform.resources import Stage, chosen_flavour

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
    flavour = chosen_flavour()
    if flavour is None:
        return made
    retries = flavour.stages[stage].retries
    promise = cast("Promise", made).with_overrides(retries=retries)  # flytekit: of its items
    if promise.ref is not None:
        # Flyte reads them from the node itself: https://github.com/flyteorg/flyte/issues/6800
        promise.ref.node.metadata._retries = RetryStrategy(retries)
    return cast("Result", promise)
