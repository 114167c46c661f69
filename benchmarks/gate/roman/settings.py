"""The numbers of the roman team's climb."""

from tasks.contracts.handover import DomainSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.settings import RlSettings
from tasks.sft.settings import SftSettings

DOMAIN = DomainSettings(
    name="roman",
    owner="team-roman",
    version="1.0.0",
    num_train=300,
    num_validation=30,
    num_evaluation=38,
)
SFT = SftSettings(num_steps=300, learning_rate=1e-3)
RL = RlSettings(loop=LoopSettings(num_steps=60, learning_rate=2e-4, rung_every=20))
