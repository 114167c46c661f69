"""What the tasks of the controls are given. No torch: workflows import it."""

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.contracts.controls import Control, ControlOrder
from tasks.contracts.handover import Plan
from tasks.mopd.settings import RoundSettings
from tasks.rollout.settings import SamplingSettings


class ControlSpec(Frozen):
    """One control to train."""

    control: Control
    plan: Plan
    settings: RoundSettings
    """Settings of the student's rounds."""
    order: ControlOrder
    sampling: SamplingSettings
    """Sampling outside rounds: the teachers' answers."""
    seed: int
    budget: float
    """Processor seconds that it may take."""
    before: Artifact | None = None
    """Checkpoint that it goes on from, in the place of the plan's student."""
