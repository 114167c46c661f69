"""How often the gate's verdicts were right on a fresh family of merges, which its pages state.

The figures are data: ``python -m benchmarks.gate fresh table`` writes them.
"""

from functools import cache
from pathlib import Path

from pydantic import Field

from lineage.frozen import Frozen

FILE = Path(__file__).with_name("reliability.json")


class Counted(Frozen):
    """How many of some cases."""

    count: int = Field(ge=0)
    of: int = Field(ge=1)


class GateReliability(Frozen):
    """Verdicts on healthy, useful teachers, each merged in spite of its verdict."""

    lost: float
    """Share of what a fitting teacher passes on below which a merge counts as lost."""
    found: Counted
    """Teachers that did not fit by the first verdict, of those that lost."""
    in_vain: Counted
    """Teachers that did not fit by the first verdict, of those that kept their gain."""

    def words(self) -> str:
        """Return both counts in plain words."""
        return (
            f"Of {self.found.of} healthy teachers that lost more than {1 - self.lost:.0%} of what "
            f"a fitting one passes on, the gate found {self.found.count}. Of {self.in_vain.of} "
            f"that did not, it held up {self.in_vain.count}. Both counts are of small models and "
            "short answers, and nothing is known of others"
        )


@cache
def reliability() -> GateReliability:
    """Return the figures that come with this version of the project."""
    return GateReliability.model_validate_json(FILE.read_text("utf-8"))
