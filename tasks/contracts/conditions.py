"""Conditions under which a student is released without a person. No torch: workflows import it."""

from pydantic import Field

from lineage.frozen import Frozen
from tasks.contracts.inputs import documented


@documented
class ReleaseConditions(Frozen):
    """Conditions under which the alias ``released`` moves to a new student automatically.

    A person can move the alias at any time. The defaults are ours: the testbed's students keep 0.9
    of the gain in every domain and about 0.95 on average, its cheap merges mostly less than half.
    """

    release_keep_domains: bool = True
    """Whether a student must cover every domain of the currently released student."""
    release_least_normalized: float = Field(default=0.5, ge=0)
    """Minimum normalized score in each domain for an automatic release (1 = the teacher's gain)."""
    release_least_overall: float = Field(default=0.8, ge=0)
    """Minimum mean normalized score over domains for an automatic release."""

    def words(self) -> str:
        """Return the conditions in one line."""
        kept = ", and every domain of the current release" if self.release_keep_domains else ""
        return (
            f"at least {self.release_least_normalized:g} of the gain in each domain, "
            f"{self.release_least_overall:g} on average{kept}"
        )
