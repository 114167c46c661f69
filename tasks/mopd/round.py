"""One MOPD round: the student samples on every domain and learns from each domain's teacher."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.record import Derivation, Input
from tasks.handover import Plan, PlannedTeacher
from tasks.ledger.estimate import (
    RunSize,
    estimate,
    free_memory,
    free_storage,
    memory_speed,
    refuse_what_does_not_fit,
)
from tasks.ledger.naming import ledger_derivation
from tasks.ledger.writer import LedgerWriter
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_model, load_policy
from tasks.mopd.distil import Distillation, ResidentTeachers
from tasks.mopd.routing import Routing
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.books import Books
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.loop import Hooks, train
from tasks.onpolicy.result import save_student
from tasks.onpolicy.student import num_trained
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.resume import JsonPart, Part, RandomNumbers, States
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import make_player, open_environment, stored_prompts
from tasks.rollout.source import DomainShare, Mixture
from tasks.step import Bench, Measurements, now
from tasks.threads import use_configured_threads


def distil_round(bench: Bench, plan: Plan, settings: RoundSettings, seed: int) -> Artifact:
    """Return the student that the round ends with; found, or else made.

    The metrics of the record hold, for each teacher, the KL at every step and the tokens that
    were routed to it. The ledger stands in the store under ``ledger_derivation``. A run that was
    killed goes on from its last state, to the same bits.
    """
    derivation = Derivation(
        kind="mopd",
        inputs=tuple(_inputs(plan)),
        source=source_digest("mopd"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        started = now()
        use_configured_threads()
        report("mopd", 0, settings.loop.num_steps, message="load the teachers")
        policy = load_policy(bench.store.tree(plan.student.digest))
        with _source(bench, plan.leads, policy, settings, seed) as source:
            run = _Run(bench, plan, settings, seed, policy, folder / "ledger")
            states = States(bench.store, derivation.digest(), run.parts(measurements, source))
            run.train(source, measurements, states)
        measurements.add(settings.loop.num_steps, source.routed())
        # First the ledger: a run that is killed between the two makes both again.
        bench.commit(
            ledger_derivation(derivation),
            "ledger",
            folder / "ledger",
            started,
            Measurements("ledger"),
            owner="consolidation",
        )
        return save_student(run.learner, policy.tokenizer, folder / "model")

    return bench.find_or_make(derivation, "checkpoint", make, owner="consolidation")


class _Run:
    """The collaborators of one round's loop."""

    def __init__(
        self,
        bench: Bench,
        plan: Plan,
        settings: RoundSettings,
        seed: int,
        policy: Policy,
        ledger: Path,
    ) -> None:
        self._settings = settings
        chat = ChatTokens(policy.tokenizer)
        self._objective = _objective(bench, plan, settings, chat.control_ids)
        self._refuse_too_large(bench, policy)
        self.learner = Learner(
            policy.model,
            settings.loop,
            settings.sampling.temperature,
            chat.pad_id,
            self._objective.sources,
            record=settings.ledger.displacements,
        )
        self._writer = LedgerWriter(ledger, settings.ledger, self.learner.optimizer, seed)
        self._books = Books(self._writer, seed, settings.loop.num_steps)

    def parts(self, measurements: Measurements, source: "_Counting") -> dict[str, Part]:
        """Return all that the next step depends on."""
        objective = JsonPart(self._objective.state, self._objective.load_state)
        return {
            "learner": self.learner,
            "objective": objective,
            "ledger": self._writer,
            "measurements": measurements,
            "tokens": source,
            "random": RandomNumbers(),
        }

    def train(self, source: "_Counting", measurements: Measurements, states: States) -> None:
        """Run the loop to its end."""
        hooks = Hooks(_Course(self._settings, measurements), lambda _step: None)
        train(self.learner, self._objective, source, hooks, self._books, states)

    def _refuse_too_large(self, bench: Bench, policy: Policy) -> None:
        device, settings = policy.model.device, self._settings
        size = RunSize(
            num_parameters=num_trained(policy.model, settings.loop),
            num_sources=len(self._objective.sources),
            extra_sources=self._objective.extra_sources,
            num_steps=settings.loop.num_steps,
            updates_per_step=settings.loop.inner_updates,
        )
        needed = estimate(size, settings.ledger, memory_speed(device))
        report("mopd", 0, settings.loop.num_steps, message=str(needed))
        uri = bench.store.uri
        room = None if "://" in uri else free_storage(Path(uri))  # a bucket has no known end
        refuse_what_does_not_fit(needed, free_memory(device), room)


def _objective(
    bench: Bench, plan: Plan, settings: RoundSettings, control_ids: Sequence[int]
) -> Distillation:
    routing = Routing({teacher.domain: teacher.name for teacher in plan.teachers})
    teachers = ResidentTeachers(
        {t.name: load_model(bench.store.tree(t.checkpoint.digest)) for t in plan.teachers},
        settings.sampling.temperature,
    )
    routing.check([lead.domain for lead in plan.leads], teachers.names)
    return Distillation(routing, teachers, settings.distil, control_ids)


def _inputs(plan: Plan) -> Iterator[Input]:
    yield Input(role="student", artifact=plan.student.digest, record=plan.student.record)
    for teacher in plan.teachers:
        yield Input(
            role="teacher",
            artifact=teacher.checkpoint.digest,
            record=teacher.checkpoint.record,
            # Every domain has as many prompts in a step.
            weight=teacher.share / len(plan.leads),
            name=teacher.name,
        )
    for lead in plan.leads:
        for role, part in (("prompts", lead.train), ("environment", lead.environment)):
            yield Input(role=role, artifact=part.digest, record=part.record, name=lead.domain)


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

    def save(self, folder: Path) -> None:
        (folder / "tokens.json").write_text(json.dumps(self._tokens), "utf-8")

    def load(self, folder: Path) -> None:
        self._tokens = Counter(json.loads((folder / "tokens.json").read_text("utf-8")))

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
