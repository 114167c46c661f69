"""A task that shows a page and then refuses, as a plan with findings does."""

from tasks.hosting import hosted, show
from tasks.resources import Stage


@hosted(Stage.PLAN, deck=True)
def refuse(page: str, findings: int) -> int:
    """Show the page, then end where there are findings."""
    show("findings", page)
    if findings:
        raise ValueError("the plan is refused")
    return findings


@hosted(Stage.PLAN, deck=True)
def show_twice(first: str, second: str) -> int:
    """Show a page, and another one in its place."""
    show("training", first)
    show("training", second)
    return 0
