"""Merges of checkpoints that share an ancestor: over learning rates, data, stages or domains.

Unlike the controls of a consolidation it needs no plan and no prompts: the weights are given.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.graph.handed import common_weight_ancestors
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import StageLabel
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.merge.settings import MergeMethod, SoupSettings, WeightedCheckpoint
from tasks.merge.weights import State, average, dare, task_arithmetic, task_vector, ties
from tasks.model.files import load_model, load_policy, save_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner

_LEAST = 2
"""Minimum number of models of a merge."""


def merge_checkpoints(
    runner: StepRunner,
    start: Artifact,
    models: Sequence[WeightedCheckpoint],
    settings: SoupSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Return the merge of several checkpoints.

    Args:
        runner: Store and records.
        start: Checkpoint that the weights of all of them come from; task vectors begin there.
        models: Checkpoints with their shares.
        settings: Method and its numbers.
        seed: Seed of DARE's draw.
        stage: Name in the progress display, and owner.

    Raises:
        RefusedError: for fewer than two models, one of another kind or architecture, a name that
            occurs twice, and a start that the weights of a model do not come from.
    """
    _refuse(runner, start, models)
    derivation = Derivation(
        project=runner.project,
        kind="merge",
        inputs=(
            Input.of("base", start),
            *(
                Input(
                    role="model",
                    artifact=model.checkpoint.digest,
                    record=model.checkpoint.record,
                    weight=model.share,
                    name=model.name,
                )
                for model in models
            ),
        ),
        source=source_digest("merge"),
        settings=settings.model_dump(mode="json"),
        seed=seed if settings.method is MergeMethod.DARE else 0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = load_policy(runner.store.tree(start.digest))
        policy.model.float()  # the changes of models are finer than bf16
        first = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
        merged = _merged(first, _states(runner, models, stage), settings, seed)
        policy.model.load_state_dict(merged)
        return save_policy(policy, folder / "model")

    return runner.find_or_make(derivation, "checkpoint", make, stage.owner)


def _refuse(runner: StepRunner, start: Artifact, models: Sequence[WeightedCheckpoint]) -> None:
    refuse_other_kind(start, "checkpoint", "start")
    for model in models:
        refuse_other_kind(model.checkpoint, "checkpoint", f"models ({model.name})")
    names = [model.name for model in models]
    if len(names) < _LEAST or len(set(names)) < len(names):
        raise RefusedError(
            "models-to-merge", f"the models {names} cannot be merged: give two or more, by name"
        )
    common = common_weight_ancestors(
        runner.records, [(model.checkpoint.digest, model.checkpoint.record) for model in models]
    )
    if start.digest not in common:
        known = f"they share {sorted(common)}" if common else "they share none"
        raise RefusedError(
            "no-common-ancestor",
            f"the weights of {names} do not all come from {start.digest}: {known}. Weights of "
            "models with different ancestors are permuted against each other, and a mean of them "
            "is noise: merge checkpoints that were trained from one, and name it as the start",
        )


def _merged(
    start: State, models: Iterator[tuple[State, float]], settings: SoupSettings, seed: int
) -> State:
    match settings.method:
        case MergeMethod.AVERAGE:
            return average(models)
        case MergeMethod.TASK_ARITHMETIC:
            vector = task_vector(start, models)
        case MergeMethod.TIES:
            vector = ties(start, models, settings.density)
        case MergeMethod.DARE:
            vector = dare(start, models, settings.density, seed)
    return task_arithmetic(start, vector, settings.weight)


def _states(
    runner: StepRunner, models: Sequence[WeightedCheckpoint], stage: StageLabel
) -> Iterator[tuple[State, float]]:
    """Yield the weights of each model with its share, one model in memory at a time."""
    for place, model in enumerate(models):
        report(stage.name, place, len(models), message=model.name)
        yield load_model(runner.store.tree(model.checkpoint.digest)).state_dict(), model.share
