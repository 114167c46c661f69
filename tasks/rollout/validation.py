"""A checkpoint's scores on validation prompts of a domain, as a recorded step.

The same seed gives each checkpoint the same noise at the same prompt, so that scores of two
checkpoints can be compared prompt by prompt.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.handover import PlannedTeacher
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_model, load_tokenizer
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts
from tasks.rollout.settings import SamplingSettings

KIND = "validation"
NUM_PROMPTS = 64
"""Maximum number of prompts, as many as the gate's probe plays: a mean is then off by 0.06."""


@dataclass(frozen=True)
class Validation:
    """How checkpoints answer the validation prompts."""

    template: Artifact
    """Checkpoint with the tokenizer and the chat template in which all of them answer."""
    sampling: SamplingSettings
    seed: int


def validation_scores(
    runner: StepRunner, checkpoint: Artifact, teacher: PlannedTeacher, how: Validation
) -> Artifact:
    """Return a checkpoint's scores on the validation prompts of a teacher's domain.

    The teacher itself reads its system prompt before each of them.
    """
    reads = teacher.system_prompt if checkpoint.digest == teacher.checkpoint.digest else ""
    derivation = Derivation(
        project=runner.project,
        kind=KIND,
        inputs=(
            Input.of("checkpoint", checkpoint),
            Input.of("template", how.template),
            Input.of("prompts", teacher.validation),
            Input.of("environment", teacher.environment),
            *system_prompt_inputs(reads),
        ),
        source=source_digest("rollout"),
        settings={
            "domain": teacher.domain,
            "num_prompts": NUM_PROMPTS,
            "sampling": how.sampling.model_dump(mode="json"),
        },
        seed=how.seed,
    )
    store_system_prompt(runner.store, reads)

    def make(folder: Path, measurements: Measurements) -> Path:
        report("validation", 0, 0, message=teacher.domain)
        use_configured_threads()
        store, allowed = runner.store, how.sampling.allow_unconfined
        tokenizer = load_tokenizer(store.tree(how.template.digest))
        policy = Policy(on_rank_device(load_model(store.tree(checkpoint.digest))), tokenizer)
        prompts = stored_prompts(store, teacher.validation)[:NUM_PROMPTS]
        with open_environment(
            store, teacher.environment, teacher.domain, allow_unconfined=allowed
        ) as worker:
            player = make_player({teacher.domain: worker}, policy, how.sampling, reads)
            rollouts = play(player, teacher.domain, prompts, how.seed)
        scores = [rollout.grade.score for rollout in rollouts]
        measurements.add(0, {f"validation/{teacher.domain}": sum(scores) / len(scores)})
        path = folder / "validation.json"
        path.write_bytes(canonical_json(list(scores)))
        return path

    return runner.find_or_make(derivation, KIND, make)


def read_scores(runner: StepRunner, scores: Artifact) -> list[float]:
    """Return stored scores, prompt by prompt."""
    found: list[float] = json.loads(runner.store.get_bytes(scores.digest))
    return found
