"""The two merges, parameter average and task arithmetic, as steps; controls on the scorecard.

Both work on state dicts, with one model in memory at a time; ``weights`` holds the arithmetic.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import Plan
from tasks.contracts.planned import refuse_mixed
from tasks.merge.settings import MergeSettings
from tasks.merge.weights import State, average, task_arithmetic, task_vector
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts


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
        policy.model.load_state_dict(average(_states(runner, plan)))
        return save_policy(policy, folder / "model")

    return runner.find_or_make(
        derivation, "checkpoint", make, owner="consolidation", notes=plan.made_for
    )


def merge_task_arithmetic(runner: StepRunner, plan: Plan, settings: MergeSettings) -> Artifact:
    """Return the sum of the teachers' task vectors with the weight that validates best.

    Raises:
        LineageError: for a plan that differs from the stored plan.
    """
    refuse_mixed(runner, plan)
    derivation = Derivation(
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
        settings={"method": "task_arithmetic", **settings.model_dump(mode="json")},
        seed=settings.validation_seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = load_policy(runner.store.tree(plan.student.digest))
        start = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
        vector = task_vector(start, _states(runner, plan))
        scores: dict[float, float] = {}
        for place, weight in enumerate(settings.weights):
            report("merge", place, len(settings.weights), message=f"task arithmetic {weight}")
            policy.model.load_state_dict(task_arithmetic(start, vector, weight))
            scores[weight] = _validate(runner, plan, policy, settings)
            measurements.add(place, {"weight": weight, "validation_score": scores[weight]})
        best = max(scores, key=lambda weight: scores[weight])
        policy.model.load_state_dict(task_arithmetic(start, vector, best))
        return save_policy(policy, folder / "model")

    return runner.find_or_make(
        derivation, "checkpoint", make, owner="consolidation", notes=plan.made_for
    )


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
