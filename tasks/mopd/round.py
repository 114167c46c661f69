"""One MOPD round: the student samples on every domain and learns from each domain's teacher."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from torch import nn

from lineage.artifacts import Artifact
from lineage.operations.recall import refuse_recalled_family
from lineage.records.record import Derivation
from lineage.store.store import Store
from tasks.contracts.handover import Plan
from tasks.contracts.planned import refuse_mixed
from tasks.contracts.refusal import RefusedError
from tasks.estimate.planned import free_here
from tasks.ledger.schema import ledger_derivation
from tasks.model.files import Policy, load_policy
from tasks.mopd.round_models import inputs_of, round_models
from tasks.mopd.settings import RoundSettings
from tasks.mopd.source import open_source
from tasks.mopd.trainer import RoundSpec, RoundTrainer
from tasks.onpolicy.distributed.collective import DistributedStepRunner
from tasks.onpolicy.student_files import save_student, saving_note
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.ranks import joined_ranks, rank_device
from tasks.platform.resources import use_configured_threads
from tasks.platform.resume import Part, States
from tasks.platform.step_runner import StepRunner, now
from tasks.rollout.domains import model_note


def distil_round(
    runner: StepRunner,
    plan: Plan,
    settings: RoundSettings,
    seed: int,
    more: Mapping[str, Part] = MappingProxyType({}),
) -> Artifact:
    """Return the student of the round: the recorded one, or a new one.

    Every process of the launcher calls it; they train one student together, and the first process
    writes. The record's metrics hold, for each teacher, the KL at every step and the number of
    tokens routed to it. The ledger is in the store under ``ledger_derivation``. A run that was
    killed resumes from its last checkpoint and gives the same bits. ``more`` are parts of that
    checkpoint beside the round's own.

    Raises:
        ValueError: before anything is trained, for teachers, prompts or settings that cannot work,
            and for a run that does not fit.
    """
    with joined_ranks():
        shared = DistributedStepRunner(runner.store, mirror=runner.mirror)
        return _Round(shared, plan, settings, seed, more).result()


class _Round:
    """One round: its specification, and how to run it."""

    def __init__(
        self,
        runner: StepRunner,
        plan: Plan,
        settings: RoundSettings,
        seed: int,
        more: Mapping[str, Part],
    ) -> None:
        self._runner, self._settings, self._seed = runner, settings, seed
        self._more = more
        self._models = round_models(runner.store, plan, settings)
        self._derivation = Derivation(
            project=runner.project,
            kind="mopd",
            inputs=tuple(inputs_of(self._models, settings)),
            source=source_digest("mopd"),
            settings=settings.model_dump(mode="json"),
            seed=seed,
        )

    def result(self) -> Artifact:
        """Return the student."""
        return self._runner.find_or_make(
            self._derivation,
            "checkpoint",
            self._make,
            owner="consolidation",
            notes=self._models.plan.made_for,
        )

    def _sampler(self, policy: Policy) -> Policy:
        """Return the policy that samples: the student, or a frozen copy of its start."""
        if not self._settings.frozen_rollouts:
            return policy
        frozen = load_policy(self._runner.store.tree(self._models.plan.student.digest))
        nn.Module.to(frozen.model, rank_device())
        return frozen

    def _make(self, folder: Path, measurements: Measurements) -> Path:
        runner, settings, plan = self._runner, self._settings, self._models.plan
        started, limits = now(), free_here()
        use_configured_threads()
        report("mopd", 0, settings.loop.num_steps, message="load the teachers")
        policy = load_policy(runner.store.tree(plan.student.digest))
        with open_source(runner, plan, self._sampler(policy), settings, self._seed) as source:
            spec = RoundSpec(self._models, settings, self._seed)
            run = RoundTrainer(runner, spec, policy, folder / "ledger", source, limits)
            measurements.notes["estimate"] = run.needed
            parts = {**run.parts(measurements), **self._more}
            states = States(runner.store, self._derivation.digest(), parts)
            run.train(measurements, states)
        measurements.add(settings.loop.num_steps, source.routed())
        measurements.notes["tokens_sampled"] = source.tokens
        measurements.notes["tokens_trained"] = source.tokens * settings.loop.inner_epochs
        measurements.notes["confinement"] = source.confinement
        measurements.notes["model"] = model_note(policy)
        # First the ledger: a run that is killed between the two makes both again.
        runner.commit(
            ledger_derivation(self._derivation),
            "ledger",
            folder / "ledger",
            started,
            Measurements("ledger", notes=plan.made_for),
            owner="consolidation",
        )
        measurements.notes["saved"] = saving_note(run.learner)
        return save_student(run.learner, policy.tokenizer, folder / "model")


def distil_rounds(
    runner: StepRunner, plan: Plan, settings: RoundSettings, rounds: int, seed: int
) -> Artifact:
    """Return the student of the last round; finished rounds are reused.

    Round r (from 0) draws its prompts and samples from ``seed`` + r and has an optimizer of its
    own. To use teachers that a team refreshed in between, launch again from the published student.

    A round can last for days, so recalls are checked before each round, when a round resumes, and
    whenever its checkpoint is saved.

    Raises:
        ValueError: for fewer than one round.
        LineageError: for a plan that differs from the stored plan.
        RecalledError: if a teacher, or an ancestor of it, has been recalled.
    """
    if rounds < 1:
        raise RefusedError(
            "no-rounds", f"rounds is {rounds}, but a consolidation has at least one: set it to 1"
        )
    refuse_mixed(runner, plan)
    student = plan.student
    watch = RecallWatch(runner.store, plan)
    with joined_ranks():  # once for all rounds
        for number in range(rounds):
            watch.ask()
            own = starting_from(plan, student)
            student = distil_round(runner, own, settings, seed + number, {"recalls": watch})
    return student


class RecallWatch:
    """An empty part of a round's checkpoint that checks for recalls whenever one is saved or read.

    A retrain has none: the effect of a recalled teacher on a student must stay measurable.
    """

    def __init__(self, store: Store, plan: Plan) -> None:
        """Watch the releases of a plan, their ancestors, and the student's initial checkpoint."""
        self._store = store
        self._watched = [plan.student, *(teacher.release for teacher in plan.teachers)]

    def ask(self) -> None:
        """Raise RecalledError if anything watched has been recalled."""
        refuse_recalled_family(self._store, self._watched)

    def save(self, folder: Path) -> None:
        """Check for recalls; nothing is written."""
        self.ask()

    def load(self, folder: Path) -> None:
        """Check for recalls; nothing is read."""
        self.ask()


def starting_from(plan: Plan, student: Artifact) -> Plan:
    """Return the plan of a round that starts from ``student``; a self-taught domain uses it too."""
    teachers = [
        teacher.model_copy(update={"checkpoint": student}) if teacher.is_self else teacher
        for teacher in plan.teachers
    ]
    return plan.model_copy(update={"student": student, "teachers": teachers})
