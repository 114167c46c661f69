"""Merges of a plan's teachers as steps: average, task arithmetic, TIES, DARE. They are controls.

All work on state dicts, with one model in memory at a time; ``weights`` holds the arithmetic.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.controls import MERGED, Control, ControlOrder
from tasks.contracts.handover import Plan
from tasks.contracts.named import NamedArtifact
from tasks.contracts.planned import refuse_mixed
from tasks.merge.settings import SPARSE, MergeMethod, MergeSettings, SparseMergeSettings
from tasks.merge.weights import State, average, dare, task_arithmetic, task_vector, ties
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts


def merge_controls(
    runner: StepRunner, plan: Plan, order: ControlOrder, settings: MergeSettings
) -> list[NamedArtifact]:
    """Return the merges that are wanted, by name.

    Raises:
        LineageError: for a plan that differs from the stored plan.
    """
    made = []
    for control in order.chosen(MERGED):
        if control is Control.PARAMETER_AVERAGE:
            merged = merge_average(runner, plan)
        else:
            method = MergeMethod(control.value)
            own = settings
            if method in SPARSE:
                own = SparseMergeSettings(**settings.model_dump())
            merged = merge_tuned(runner, plan, own, method)
        made.append(NamedArtifact(name=control.value, artifact=merged))
    return made


def merge_average(runner: StepRunner, plan: Plan) -> Artifact:
    """Return the plain average of the teachers' weights.

    Raises:
        LineageError: for a plan that differs from the stored plan.
    """
    refuse_mixed(runner, plan)
    derivation = Derivation(
        project=runner.project,
        kind="merge",
        inputs=(
            # Of the student come the configuration and the tokenizer, not a weight.
            Input.of("student", plan.student),
            *(
                Input(
                    role="teacher",
                    artifact=teacher.checkpoint.digest,
                    record=teacher.checkpoint.record,
                    weight=teacher.share / len(plan.leads),
                    name=teacher.name,
                )
                for teacher in plan.teachers
            ),
        ),
        source=source_digest("merge"),
        settings={"method": "average"},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report("merge", 0, 1, message="parameter average")
        policy = load_policy(runner.store.tree(plan.student.digest))
        policy.model.float()  # the changes of teachers are finer than bf16
        policy.model.load_state_dict(average(_states(runner, plan)))
        return save_policy(policy, folder / "model")

    return runner.find_or_make(
        derivation, "checkpoint", make, owner="consolidation", notes=plan.made_for
    )


def merge_tuned(
    runner: StepRunner,
    plan: Plan,
    settings: MergeSettings,
    method: MergeMethod = MergeMethod.TASK_ARITHMETIC,
) -> Artifact:
    """Return the start plus the merged task vectors, with the numbers that validate best.

    They are the multiple of the merged vector, and for TIES and DARE the share of each task
    vector that is kept. Of equal scores the first counts.

    Raises:
        LineageError: for a plan that differs from the stored plan.
    """
    refuse_mixed(runner, plan)
    derivation = _tuned(runner, plan, settings, method)

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = load_policy(runner.store.tree(plan.student.digest))
        policy.model.float()  # the changes of teachers are finer than bf16
        start = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
        on_rank_device(policy)  # it answers the validation prompts; vectors stay in host memory
        best, score = start, -1.0
        for place, (vector, density, weight) in enumerate(
            _tried(runner, plan, start, settings, method)
        ):
            report("merge", place, 0, message=f"{method.value} {density:g} {weight:g}")
            merged = task_arithmetic(start, vector, weight)
            policy.model.load_state_dict(merged)
            found = _validate(runner, plan, policy, settings)
            numbers = {"weight": weight} | ({"density": density} if method in SPARSE else {})
            measurements.add(place, {**numbers, "validation_score": found})
            if found > score:
                best, score = merged, found
        policy.model.load_state_dict(best)
        return save_policy(policy, folder / "model")

    return runner.find_or_make(
        derivation, "checkpoint", make, owner="consolidation", notes=plan.made_for
    )


def _tuned(
    runner: StepRunner, plan: Plan, settings: MergeSettings, method: MergeMethod
) -> Derivation:
    """Return the derivation of a merge that is tuned on validation prompts."""
    return Derivation(
        project=runner.project,
        kind="merge",
        inputs=(
            Input.of("student", plan.student),
            *(
                Input(
                    role="teacher",
                    artifact=teacher.checkpoint.digest,
                    record=teacher.checkpoint.record,
                    weight=teacher.share,
                    name=teacher.name,
                )
                for teacher in plan.teachers
            ),
            *(
                Input.of(role, part, lead.domain)
                for lead in plan.leads
                for role, part in (
                    ("validation", lead.validation),
                    ("environment", lead.environment),
                )
            ),
        ),
        source=source_digest("merge"),
        settings={"method": method.value, **settings.model_dump(mode="json")},
        seed=settings.validation_seed,
    )


def _tried(
    runner: StepRunner, plan: Plan, start: State, settings: MergeSettings, method: MergeMethod
) -> Iterator[tuple[State, float, float]]:
    """Yield every merged task vector with its density and the multiples to try."""
    densities = settings.densities if isinstance(settings, SparseMergeSettings) else [1.0]
    for density in densities:
        states = _states(runner, plan)
        match method:
            case MergeMethod.TIES:
                vector = ties(start, states, density)
            case MergeMethod.DARE:
                vector = dare(start, states, density, settings.validation_seed)
            case _:
                vector = task_vector(start, states)
        for weight in settings.weights:
            yield vector, density, weight


def _states(runner: StepRunner, plan: Plan) -> Iterator[tuple[State, float]]:
    """Yield each teacher's weights with its share, one model in memory at a time."""
    for teacher in plan.teachers:
        model = load_model(runner.store.tree(teacher.checkpoint.digest))
        yield model.state_dict(), teacher.share


def _validate(runner: StepRunner, plan: Plan, policy: Policy, settings: MergeSettings) -> float:
    """Return the mean score over domains on their validation prompts."""
    means = []
    for teacher in plan.leads:
        with open_environment(
            runner.store,
            teacher.environment,
            teacher.domain,
            allow_unconfined=settings.sampling.allow_unconfined,
        ) as worker:
            player = make_player({teacher.domain: worker}, policy, settings.sampling)
            questions = stored_prompts(runner.store, teacher.validation)
            rollouts = play(player, teacher.domain, questions, settings.validation_seed)
        means.append(fmean(rollout.grade.score for rollout in rollouts))
    return fmean(means)
