"""The two merges as steps: checkpoints that stand beside the student on the scorecard."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from torch import Tensor

from lineage.artifacts import Artifact
from lineage.record import Derivation, Input
from tasks.handover import Plan
from tasks.merge.settings import MergeSettings
from tasks.merge.weights import average, task_arithmetic
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts
from tasks.step import Bench, Measurements
from tasks.threads import use_configured_threads


def merge_average(bench: Bench, plan: Plan) -> Artifact:
    """Return the plain average of the teachers' weights."""
    share = 1.0 / len(plan.teachers)
    derivation = Derivation(
        kind="merge",
        inputs=(
            # Of the student come the configuration and the tokenizer, not a weight.
            Input(role="student", artifact=plan.student.digest, record=plan.student.record),
            *(
                Input(
                    role="teacher",
                    artifact=teacher.checkpoint.digest,
                    record=teacher.checkpoint.record,
                    weight=share,
                    name=teacher.domain,
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
        policy = load_policy(bench.store.tree(plan.student.digest))
        policy.model.load_state_dict(average(list(_states(bench, plan).values())))
        return save_policy(policy, folder / "model")

    return bench.find_or_make(derivation, "checkpoint", make, owner="consolidation")


def merge_task_arithmetic(bench: Bench, plan: Plan, settings: MergeSettings) -> Artifact:
    """Return the sum of the teachers' task vectors with the weight that validates best."""
    derivation = Derivation(
        kind="merge",
        inputs=(
            Input(role="student", artifact=plan.student.digest, record=plan.student.record),
            *(
                Input(role=role, artifact=part.digest, record=part.record, name=teacher.domain)
                for teacher in plan.teachers
                for role, part in (
                    ("teacher", teacher.checkpoint),
                    ("validation", teacher.validation),
                    ("environment", teacher.environment),
                )
            ),
        ),
        source=source_digest("merge"),
        settings={"method": "task_arithmetic", **settings.model_dump(mode="json")},
        seed=settings.validation_seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = load_policy(bench.store.tree(plan.student.digest))
        states = _states(bench, plan)
        start = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
        scores: dict[float, float] = {}
        for place, weight in enumerate(settings.weights):
            report("merge", place, len(settings.weights), message=f"task arithmetic {weight}")
            policy.model.load_state_dict(task_arithmetic(start, list(states.values()), weight))
            scores[weight] = _validate(bench, plan, policy, settings)
            measurements.add(place, {"weight": weight, "validation_score": scores[weight]})
        best = max(scores, key=lambda weight: scores[weight])
        policy.model.load_state_dict(task_arithmetic(start, list(states.values()), best))
        return save_policy(policy, folder / "model")

    return bench.find_or_make(derivation, "checkpoint", make, owner="consolidation")


def _states(bench: Bench, plan: Plan) -> Mapping[str, dict[str, Tensor]]:
    return {
        teacher.domain: load_model(bench.store.tree(teacher.checkpoint.digest)).state_dict()
        for teacher in plan.teachers
    }


def _validate(bench: Bench, plan: Plan, policy: Policy, settings: MergeSettings) -> float:
    """Return the mean score over domains on their validation prompts."""
    means = []
    for teacher in plan.teachers:
        with open_environment(bench.store, teacher.environment, teacher.domain) as worker:
            player = make_player({teacher.domain: worker}, policy, settings.sampling)
            questions = stored_prompts(bench.store, teacher.validation)
            rollouts = play(player, teacher.domain, questions, settings.validation_seed)
        means.append(fmean(rollout.grade.score for rollout in rollouts))
    return fmean(means)
