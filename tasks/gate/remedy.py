"""Which remedy a run applies. Pure."""

from tasks.gate.judge import Judged
from tasks.handover import OnMisfit, Remedy


def applied_remedy(judged: Judged, on_misfit: OnMisfit) -> Remedy:
    """Return what this run does: the remedy where it was asked for and there is one, or a drop."""
    refused = any(note.severity == "refusal" for note in judged.reasons)
    if not refused or on_misfit is OnMisfit.REFUSE:
        return Remedy.NONE
    if on_misfit is OnMisfit.DROP:
        return Remedy.DROP
    return Remedy.NONE if judged.remedy is Remedy.DROP else judged.remedy
