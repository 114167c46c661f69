"""One MOPD round: the student samples on every domain and learns from each domain's teacher."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.record import Derivation, Input
from tasks.handover import Plan, PlannedTeacher
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.mopd.distil import Distillation, ResidentTeachers
from tasks.mopd.routing import Routing
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import Hooks, train
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import make_player, open_environment, stored_prompts
from tasks.rollout.source import DomainShare, Mixture
from tasks.step import Bench, Measurements
from tasks.threads import use_configured_threads


def distil_round(bench: Bench, plan: Plan, settings: RoundSettings, seed: int) -> Artifact:
    """Return the student that the round ends with; found, or else made.

    The metrics of the record hold, for each teacher, the KL at every step and the tokens that
    were routed to it.
    """
    derivation = Derivation(
        kind="mopd",
        inputs=tuple(_inputs(plan)),
        source=source_digest("mopd"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report("mopd", 0, settings.loop.num_steps, message="load the teachers")
        policy = load_policy(bench.store.tree(plan.student.digest))
        routing = Routing({teacher.domain: teacher.domain for teacher in plan.teachers})
        teachers = ResidentTeachers(
            {t.domain: load_model(bench.store.tree(t.checkpoint.digest)) for t in plan.teachers},
            settings.sampling.temperature,
        )
        routing.check([teacher.domain for teacher in plan.teachers], teachers.names)
        objective = Distillation(routing, teachers, settings.distil)
        with _source(bench, plan.teachers, policy, settings, seed) as source:
            train(
                Learner(
                    policy.model,
                    settings.loop,
                    settings.sampling.temperature,
                    ChatTokens(policy.tokenizer).pad_id,
                    objective.sources,
                ),
                objective,
                source,
                Hooks(_Course(settings, measurements), lambda _step: None),
            )
        measurements.add(settings.loop.num_steps, source.routed())
        return save_policy(policy, folder / "model")

    return bench.find_or_make(derivation, "checkpoint", make, owner="consolidation")


def _inputs(plan: Plan) -> Iterator[Input]:
    share = 1.0 / len(plan.teachers)  # every domain has as many prompts in a step
    yield Input(role="student", artifact=plan.student.digest, record=plan.student.record)
    for teacher in plan.teachers:
        for role, artifact in (
            ("teacher", teacher.checkpoint),
            ("prompts", teacher.train),
            ("environment", teacher.environment),
        ):
            yield Input(
                role=role,
                artifact=artifact.digest,
                record=artifact.record,
                weight=share if role == "teacher" else None,
                name=teacher.domain,
            )


class _Counting:
    """A mixture that counts the response tokens of each domain."""

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture
        self._tokens: Counter[str] = Counter()

    def rollouts(self, step: int) -> list[Rollout]:
        played = self._mixture.rollouts(step)
        for rollout in played:
            self._tokens[rollout.domain] += rollout.num_response_tokens
        return played

    def routed(self) -> dict[str, float]:
        return {f"tokens_routed/{domain}": float(n) for domain, n in self._tokens.items()}


@contextmanager
def _source(
    bench: Bench,
    teachers: Sequence[PlannedTeacher],
    policy: Policy,
    settings: RoundSettings,
    seed: int,
) -> Iterator[_Counting]:
    with ExitStack() as stack:
        environments = {
            teacher.domain: stack.enter_context(
                open_environment(bench.store, teacher.environment, teacher.domain)
            )
            for teacher in teachers
        }
        shares = [
            DomainShare(
                teacher.domain,
                stored_prompts(bench.store, teacher.train),
                settings.prompts_per_domain,
            )
            for teacher in teachers
        ]
        player = make_player(environments, policy, settings.sampling)
        yield _Counting(Mixture(player, shares, settings.rollouts_per_prompt, seed))


class _Course:
    """Keeps the measurements of each step and reports the mean KL over teachers."""

    def __init__(self, settings: RoundSettings, measurements: Measurements) -> None:
        self._num_steps, self._measurements = settings.loop.num_steps, measurements

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self._measurements.add(step, metrics)
        divergences = [value for name, value in metrics.items() if name.startswith("kl/")]
        report(
            "mopd",
            step,
            self._num_steps,
            reward=metrics["reward"],
            kl=sum(divergences) / len(divergences),
        )
