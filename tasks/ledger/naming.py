"""Where the ledger of a student is found."""

from lineage.record import Derivation


def ledger_derivation(of: Derivation) -> Derivation:
    """Return the derivation of the ledger that the run ``of`` wrote beside its student.

    One run made both, so they differ in their kind alone.
    """
    return of.model_copy(update={"kind": "ledger"})
