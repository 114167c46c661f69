"""Names of a graph's nodes, as Flyte's console shows them."""

from typing import TypeVar, cast

from flytekit.core.promise import Promise

from tasks.resources import Stage, chosen_flavour

Result = TypeVar("Result")


def named(name: str, made: Result) -> Result:
    """Give the node that makes a result its name, which is also its id: words with dashes."""
    return cast("Result", cast("Promise", made).with_overrides(node_name=name, name=name))


def attempted(stage: Stage, made: Result) -> Result:
    """Give the node of a map task the retries of its stage: Flyte ignores those of its task.

    Without a flavor nothing is asked for, and none are given.
    """
    flavour = chosen_flavour()
    if flavour is None:
        return made
    retries = flavour.stages[stage].retries
    return cast("Result", cast("Promise", made).with_overrides(retries=retries))
