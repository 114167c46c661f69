"""How a checkpoint lies to others, by its weights: the results. No torch: workflows import it."""

from pydantic import ConfigDict

from lineage.frozen import Frozen


class WeightMeasurement(Frozen):
    """A measurement of weights; a number in it may be infinite or NaN."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="constants")


class Displacement(WeightMeasurement):
    """Distance of a teacher's weights from the student's start."""

    relative: float
    """|teacher - start| / |start|, all weights as one vector."""
    cosines: dict[str, float]
    """Cosines with the displacements of the other teachers, by name."""


class Ancestry(WeightMeasurement):
    """A declared parent, checked against the weights."""

    declared: str
    distance: float
    """|child - declared parent| / |parent|."""
    projection: float | None
    """<child - grandparent, parent - grandparent> / |parent - grandparent|^2: near 1 for a child of
    the declared parent, which keeps what the parent learned, and 0 for an unrelated checkpoint.
    Without a known grandparent the origin takes its place, and only the matrices count: their
    entries are as often positive as negative, so that unrelated ones are at right angles. None for
    a checkpoint without matrices, or without a difference between the two."""
    cosine: float | None = None
    """Cosine of child - grandparent with parent - grandparent; None without a known grandparent,
    and in measurements of before."""
    nearest: str
    """The nearest candidate: the declared parent, or another checkpoint."""
    nearest_distance: float
    contradicted: bool
    doubtful: bool = False
    """Whether the child went another way than the parent and keeps most of what that learned all
    the same, as a sibling of the parent does. A child that trained for longer than its parent may
    look alike."""

    @property
    def summary(self) -> str:
        """Return the measurement in words."""
        distance = f"its distance is {self.distance:.1%}"
        share = (
            ""
            if self.projection is None
            else f"; the weights keep {round(self.projection, 2) + 0.0:.0%} of what it learned"
        )
        nearer = f"; {self.nearest} is nearer" if self.nearest != self.declared else ""
        return distance + share + nearer
