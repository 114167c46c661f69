"""A page that is drawn anew while a step measures: curves in Flyte's console before the end."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lineage.metrics import Sample
from tasks.measurements import measured_here

EVERY_SECONDS = 20.0
"""Seconds between two redraws; a page is at most this old plus one step."""

Draw = Callable[[Sequence[Sequence[Sample]]], str]
"""Function from the measurements of each part of a step to an HTML page."""


@contextmanager
def drawn_live(
    draw: Draw, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Show a page of what is measured within, every 20 seconds and at the end, failed or not.

    A page that cannot be shown while the step runs costs a line in the log, not the step.
    """
    drawn_at = clock()

    def measured(_new: Sequence[Sample]) -> None:
        nonlocal drawn_at
        if clock() - drawn_at < EVERY_SECONDS:
            return
        drawn_at = clock()
        try:
            show(draw([each.rows for each in measurements]))
        except Exception:
            logging.getLogger(__name__).exception("the page of this step could not be rendered yet")

    with measured_here(measured) as measurements:
        try:
            yield
        finally:
            show(draw([each.rows for each in measurements]))
