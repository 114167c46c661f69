"""The numbers of team form's climb."""

from tasks.contracts.handover import DomainSettings
from tasks.onpolicy.settings import LoopSettings
from tasks.rl.settings import RlSettings
from tasks.rollout.settings import SamplingSettings
from tasks.sft.settings import SftSettings

DOMAIN = DomainSettings(
    name="form",
    owner="team-form",
    version="1.0.0",
    num_train=1000,
    num_validation=100,
    num_evaluation=200,
    num_demonstrations=2000,
)
SFT = SftSettings(num_steps=40, learning_rate=5e-4, warmup_steps=5)
RL = RlSettings(
    # Answers are short and few are right: more of them cost as much as the other domains' do.
    loop=LoopSettings(num_steps=30, learning_rate=1e-3, rung_every=10),
    sampling=SamplingSettings(max_new_tokens=96),
    prompts_per_step=16,
    rollouts_per_prompt=16,
)
