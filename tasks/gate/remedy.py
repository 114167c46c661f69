"""Which remedy a run applies. Pure."""

from tasks.gate.judge import Judged
from tasks.handover import Cure, OnMisfit


def applied_cure(judged: Judged, on_misfit: OnMisfit) -> Cure:
    """Return what this run does: the remedy where it was asked for and there is one, or a drop."""
    refused = any(note.severity == "refusal" for note in judged.reasons)
    if not refused or on_misfit is OnMisfit.REFUSE:
        return Cure.NONE
    if on_misfit is OnMisfit.DROP:
        return Cure.DROP
    return Cure.NONE if judged.cure is Cure.DROP else judged.cure
