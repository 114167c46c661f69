"""What the pool did, for the metrics of a step."""

from dataclasses import dataclass


@dataclass
class PoolCounts:
    """Counts since they were last taken."""

    loads: int = 0
    """How often other weights took the place of those that were there."""
    prefetch_hits: int = 0
    """Loads whose fetching had been started ahead and was done when they were needed."""
    bytes_read: int = 0
    """Bytes of the weights that were loaded; the page cache may have had them already."""
    seconds_waited: float = 0.0
    """Spent waiting for weights. On the CPU, where files are mapped, not the wait for their pages,
    which the first forward pass touches."""

    def take(self) -> dict[str, float]:
        """Return the counts by metric name, and start again from zero."""
        taken = {f"pool/{name}": float(value) for name, value in vars(self).items()}
        vars(self).update(vars(PoolCounts()))
        return taken
