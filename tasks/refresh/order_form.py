"""What a repeated climb is ordered with. No torch: workflows import it."""

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from tasks.contracts.handover import Domain
from tasks.evaluate.settings import EvaluationSettings
from tasks.rl.settings import RlSettings
from tasks.sft.settings import SftSettings


class ClimbOrder(Frozen):
    """A climb that is to be repeated."""

    start: Artifact
    """Checkpoint of the student."""
    domain: Domain
    sft: SftSettings | None
    """The team's supervised stage; None if its RL started from the fork point itself."""
    rl: RlSettings
    seed: int
    evaluation: EvaluationSettings
