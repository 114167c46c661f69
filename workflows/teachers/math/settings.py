"""The numbers of the math team's climb."""

from tasks.contracts.handover import DomainSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.settings import RlSettings
from tasks.sft.settings import SftSettings

DOMAIN = DomainSettings(name="math", owner="team-math", version="1.0.0")
SFT = SftSettings(num_steps=150, learning_rate=1e-3)
RL = RlSettings(loop=LoopSettings(num_steps=80, learning_rate=3e-4, rung_every=20))
