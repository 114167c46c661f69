"""One step of this project, timed by phase."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel

from benchmarks.step.as_one import AsOne
from benchmarks.step.case import NEVER, Case, Graded, Scene
from benchmarks.step.phases import SAMPLING, Phases, Seconds
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.writer import LedgerWriter
from tasks.model.settings import AdapterSettings, Precision
from tasks.mopd.objective import Distillation
from tasks.mopd.round_models import FrozenModels
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings, Divergence
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.learner import Learner, default_microbatch
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.loop import rollout_metrics
from tasks.onpolicy.microbatch import Microbatch
from tasks.onpolicy.objective import ChunkLoss
from tasks.onpolicy.settings import LoopSettings
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.collect import Player, Rollout
from tasks.rollout.domains import DomainShare, Mixture
from tasks.rollout.sampling.transformers.sampler import TransformersSampler
from tasks.rollout.settings import SamplingSettings


class Ours:
    """A student, its teachers and the loop that changes it."""

    def __init__(
        self,
        scene: Scene,
        teachers: FrozenModels | None = None,
        divergence: Divergence = Divergence.FULL_VOCABULARY,
        ledger: Path | None = None,
        ledger_settings: LedgerSettings | None = None,
        *,
        split: bool = True,
    ) -> None:
        """Make everything that one round has.

        Args:
            scene: Models and prompts.
            teachers: Where they are not all resident.
            divergence: Of the objective.
            ledger: The folder of a ledger; without one none is kept.
            ledger_settings: What the ledger keeps.
            split: Whether the optimizer tells the sources apart; without it all gradients go to
                one buffer, as in any AdamW.
        """
        case = scene.case
        self.case, self.phases = case, Phases(case.device)
        self.student = scene.student()
        self.source = _mixture(scene, self.student)
        settings = loop_settings(case)
        asked = teachers or _resident(scene, self.phases)
        routing = Routing(Route(domain, domain) for domain in case.domains)
        self.objective = (_Timed if split else _TimedAsOne)(
            routing,
            asked,
            DistilSettings(divergence=divergence),
            settings,
            scene.chat.control_ids,
        )
        self.objective.phases = self.phases
        self.learner = Learner(
            self.student,
            settings,
            1.0,
            scene.chat.pad_id,
            self.objective.sources,
            record=ledger is not None,
        )
        self.microbatch_tokens = case.microbatch_tokens or default_microbatch(self.student.device)
        self.recorder = None
        if ledger is not None:
            kept = ledger_settings or LedgerSettings()
            writer = LedgerWriter(ledger, kept, self.learner.optimizer, case.seed)
            self.recorder = LedgerRecorder(writer, case.seed, last_step=1_000_000)
        self.step_number = 0
        self._watch()

    def step(self, rollouts: Sequence[Rollout] | None = None) -> Seconds:
        """Do one step, on given rollouts or on new ones; return the seconds of each phase."""
        self.phases.start()
        if rollouts is None:
            with self.phases(SAMPLING):
                rollouts = self.source.rollouts(self.step_number + 1)
        self.learn(rollouts)
        return self.phases.stop()

    def learn(self, rollouts: Sequence[Rollout]) -> None:
        """Score rollouts and learn from them."""
        self.step_number += 1
        self.metrics = self.learner.update(
            self.objective, self.objective.score(rollouts), self.step_number, self.recorder
        )
        self.metrics |= rollout_metrics(rollouts)

    def _watch(self) -> None:
        phases = self.phases
        phases.watch(self.student.base_model, "student forward")
        phases.watch(self.student.get_output_embeddings(), "heads and loss")
        optimizer = self.learner.optimizer
        optimizer.step = phases.wrap("optimizer", optimizer.step)  # type: ignore[method-assign]
        if self.recorder is not None:
            for name in ("begin_step", "add_chunk", "add_update", "end_step"):
                setattr(self.recorder, name, phases.wrap("ledger", getattr(self.recorder, name)))


class _Timed(Distillation):
    """An objective whose losses are timed."""

    phases: Phases

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        return self.phases.wrap("heads and loss", super().prepare(batch))


class _TimedAsOne(_Timed, AsOne):
    """The same, of which the optimizer does not tell the teachers apart."""


def loop_settings(case: Case) -> LoopSettings:
    """Return the settings of a case's loop, which never ends."""
    return LoopSettings(
        num_steps=1_000_000,
        learning_rate=case.learning_rate,
        warmup_steps=0,
        precision=Precision.BF16 if case.precision == "bfloat16" else Precision.FP32,
        microbatch_tokens=case.microbatch_tokens or None,
        activation_checkpointing=case.checkpointing,
        adapter=AdapterSettings(rank=case.lora_rank) if case.lora_rank else None,
    )


def _mixture(scene: Scene, student: PreTrainedModel) -> Mixture:
    case = scene.case
    sampling = SamplingSettings(max_new_tokens=case.new_tokens)
    sampler = TransformersSampler(student, NEVER, scene.chat.pad_id, sampling)
    environments = {domain: LocalEnvironment(Graded()) for domain in case.domains}
    player = Player(environments, sampler, scene.chat, sampling)
    prompts = case.rollouts // case.num_teachers // case.responses_per_prompt
    shares = [DomainShare(domain, scene.prompts(domain), prompts) for domain in case.domains]
    return Mixture(player, shares, case.responses_per_prompt, case.seed)


def _resident(scene: Scene, phases: Phases) -> ResidentTeachers:
    models = {domain: scene.teacher(place) for place, domain in enumerate(scene.case.domains)}
    for model in models.values():
        phases.watch(model.base_model, "teacher forward")
    return ResidentTeachers(models, 1.0)
