"""Real runs of RL on tiny models: domains with an environment each, in the test's own store."""

import os
import signal

from lineage.artifacts import Artifact
from lineage.store.store import FolderStore
from tasks.contracts.handover import Domain, DomainSettings
from tasks.model.files import load_policy, save_policy
from tasks.model.scalar_head import with_scalar_head
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.attempt import watched_attempt
from tasks.platform.measurements import measured_here
from tasks.platform.step_runner import StepRunner
from tasks.rl.reinforce import reinforce
from tasks.rl.settings import RlSettings
from tasks.rollout.environment import Message, Prompt
from tasks.rollout.prompts import write_prompts
from tasks.rollout.settings import SamplingSettings
from tasks.scoring.reward_model import RewardModel
from tests.support.bundles import write_bundle
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.tiny_models import tiny_policy, tokenizer

SAID = """
said = turns[-1].content
return Grade(float(bool(said) and ord(said[0]) % 2 == {remainder}))
"""


class RlPlace:
    """A store with a start and domains; a domain rewards an even or an odd first letter."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.runner = StepRunner(FolderStore(folder / "store"), mirror=MemoryMirror())
        self.start = self.policy(0)

    def put(self, kind, path):
        """Return what is in a folder or a file as an artifact with a record."""
        store = self.runner.store
        digest = store.put_tree(path) if path.is_dir() else store.put_file(path)
        record, _ = write_record(store, b"", kind=kind, output=digest, output_kind=kind)
        return Artifact(kind=kind, digest=digest, record=record)

    def policy(self, seed, changed=None):
        """Return a checkpoint; ``changed`` may alter the policy before it is saved."""
        policy = tiny_policy(seed)
        policy = changed(policy) if changed else policy
        return self.put("checkpoint", save_policy(policy, self.folder / f"policy-{seed}"))

    def reward_model(self, seed=0, changed=None):
        """Return a reward model that nothing has trained; ``changed`` may alter its folder."""
        body = save_policy(tiny_policy(seed), self.folder / f"body-{seed}")
        made = RewardModel(with_scalar_head(body, seed, 0), tokenizer())
        folder = made.save(self.folder / f"reward-model-{seed}")
        if changed:
            changed(folder)
        return self.put("reward_model", folder)

    def domain(self, name="even", grade=SAID, *, owner="team-even", count=6):
        """Return a domain, by default one that rewards an even or an odd first letter."""
        remainder = 1 if name == "odd" else 0
        bundle = write_bundle(
            self.folder / f"bundle-{name}", grade=grade.replace("{remainder}", str(remainder))
        )
        prompts = self.folder / f"{name}.jsonl"
        asked = [Prompt(f"{name}{n}", (Message("user", f"{name} {n}"),)) for n in range(count)]
        write_prompts(prompts, asked)
        data = self.put("dataset", prompts)
        return Domain(
            settings=DomainSettings(name=name, owner=owner, version="1"),
            environment=self.put("environment", bundle),
            train=data,
            validation=data,
            evaluation=data,
            demonstrations=data,
            sketches=data.model_copy(update={"kind": "sketch"}),
        )

    def weights(self, checkpoint):
        """Return the weights of a checkpoint by name."""
        policy = load_policy(self.runner.store.tree(checkpoint.digest))
        return {name: weight.detach() for name, weight in policy.model.named_parameters()}

    def run(self, settings, domains=None, models=None, stop_at=0, start=None):
        """Run RL; return its ladder and its metrics by name, each with its values by step.

        With ``stop_at`` it is interrupted as by a preempted machine, in that step.
        """
        measured = {}

        def listen(samples):
            for sample in samples:
                measured.setdefault(sample.name, {})[sample.step] = sample.value
            if samples[-1].step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

        with measured_here(listen), watched_attempt("rl", None):
            given = [domain.training for domain in domains or [self.domain()]]
            ladder = reinforce(self.runner, start or self.start, given, settings, 7, models or {})
        return ladder, {name: [*values.values()] for name, values in measured.items()}

    def notes(self, checkpoint):
        """Return the notes of the record of a checkpoint."""
        return self.runner.records.output(checkpoint.record).notes


def rl_settings(num_steps=2, loop=None, **more):
    """Return settings of a short run."""
    told = {"num_steps": num_steps, "learning_rate": 1e-2, "warmup_steps": 0, **(loop or {})}
    given = {
        "sampling": SamplingSettings(max_new_tokens=4, allow_unconfined=True),
        "prompts_per_step": 2,
        "rollouts_per_prompt": 4,
    }
    return RlSettings(loop=LoopSettings(**told), **given | more)
