"""How far a checkpoint has moved from another: KL per token, on its own samples, as a step.

Shapes: N response tokens of a batch, C of a chunk of them, V vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import Domain
from tasks.contracts.refusal import RefusedError
from tasks.evaluate.settings import EvaluationSettings
from tasks.model.architecture import vocabulary_size
from tasks.model.chat import ChatTokens
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_policy
from tasks.model.identity import tokenizer_differences
from tasks.model.log_probs import chosen_hidden, chunks, head_logits
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.batch import rollout_batch
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts

_ROWS = 16
"""Number of rollouts that are scored together."""


class Drift(Frozen):
    """KL from a checkpoint to a reference on one domain."""

    domain: str
    nats: float
    """KL(checkpoint || reference) at a token, over the whole vocabulary, mean over tokens."""
    num_tokens: int


def measure_drift(
    runner: StepRunner,
    checkpoint: Artifact,
    reference: Artifact,
    domain: Domain,
    settings: EvaluationSettings,
) -> Artifact:
    """Return the KL from a checkpoint to a reference on a domain's validation prompts.

    Raises:
        RefusedError: for a reference with another tokenizer, to which ids mean other text.
    """
    name = domain.settings.name
    derivation = Derivation(
        project=runner.project,
        kind="drift",
        inputs=(
            Input.of("checkpoint", checkpoint),
            Input.of("compared_with", reference),
            Input.of("prompts", domain.validation),
            Input.of("environment", domain.environment),
        ),
        source=source_digest("evaluate"),
        settings={"domain": name, **settings.model_dump(mode="json")},
        seed=settings.seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = load_policy(runner.store.tree(checkpoint.digest), takes_images=True)
        other = load_policy(runner.store.tree(reference.digest), takes_images=True)
        if differ := tokenizer_differences(other.tokenizer, policy.tokenizer):
            raise RefusedError(
                "other-tokenizer",
                f"the drift from {reference.digest} cannot be measured: its tokenizer and the "
                f"checkpoint's differ in {'; and in '.join(differ)}",
            )
        for each in (policy, other):
            on_rank_device(each)
        with open_environment(
            runner.store,
            domain.environment,
            name,
            allow_unconfined=settings.sampling.allow_unconfined,
        ) as worker:
            player = make_player({name: worker}, policy, settings.sampling)
            questions = stored_prompts(runner.store, domain.validation)
            rollouts = play(player, name, questions, settings.seed)
        found = drift_of(policy, other, name, rollouts, settings.sampling.temperature)
        measurements.add(0, {f"drift/{name}": found.nats})
        path = folder / "drift.json"
        path.write_text(found.model_dump_json(), encoding="utf-8")
        return path

    return runner.find_or_make(derivation, "measurement", make)


def read_drift(runner: StepRunner, artifact: Artifact) -> Drift:
    """Return a stored drift."""
    return Drift.model_validate_json(runner.store.get_bytes(artifact.digest))


@torch.no_grad()
def drift_of(
    policy: Policy,
    other: Policy,
    domain: str,
    rollouts: Sequence[Rollout],
    temperature: float = 1.0,
) -> Drift:
    """Return the mean KL(policy || other) over the response tokens of the policy's rollouts."""
    pad_id = ChatTokens(policy.tokenizer).pad_id
    total, count = 0.0, 0
    told = [rollout for rollout in rollouts if rollout.num_response_tokens]
    if not told:
        raise RefusedError(
            "no-response-token", f"no rollout of {domain!r} has a response token to measure"
        )
    for first in range(0, len(told), _ROWS):
        rows = told[first : first + _ROWS]
        batch = rollout_batch(rows, pad_id).to(policy.model.device)
        own_ND, other_ND = (chosen_hidden(each.model, batch) for each in (policy, other))
        for chunk in chunks(own_ND, vocabulary_size(policy.model)):
            own_CV = head_logits(policy.model, own_ND[chunk], temperature)
            other_CV = head_logits(other.model, other_ND[chunk], temperature)
            total += float(_kl(own_CV, other_CV).double().sum())
        count += len(own_ND)
    return Drift(domain=domain, nats=total / count, num_tokens=count)


def _kl(own_CV: Tensor, other_CV: Tensor) -> Tensor:
    """Return KL(own || other) at each token [C] in nats."""
    own, other = own_CV.log_softmax(-1), other_CV.log_softmax(-1)
    return (own.exp() * (own - other)).sum(-1)
