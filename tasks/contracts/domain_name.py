"""Names of domains: lower case, and none that a document holds something else under."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tasks.contracts.refusal import RefusedError

RESERVED_NAMES = frozenset(
    {
        *("overall", "paired", "matrix", "responses", "settings", "left_out"),  # of a scorecard
        *("decay", "rounding", "saving", "unreplayed"),  # of a ledger
        "warm-up",  # of an audit
    }
)
"""Names that no domain may have."""


def _free(name: str) -> str:
    """Return a name that is not reserved.

    Raises:
        RefusedError: ``reserved-name``.
    """
    if name in RESERVED_NAMES:
        raise RefusedError(
            "reserved-name",
            f"a domain cannot be called {name!r}, because scorecards, ledgers or audits hold "
            f"something else under it: choose another name than {sorted(RESERVED_NAMES)}",
        )
    return name


DomainName = Annotated[str, Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$"), AfterValidator(_free)]
