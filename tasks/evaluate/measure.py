"""A checkpoint measured on a domain's held-out prompts, as a recorded step."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.frozen import Frozen
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.handover import Plan, PlannedTeacher
from tasks.evaluate.scores import PromptOutcome
from tasks.evaluate.settings import EvaluationSettings
from tasks.model.devices import on_rank_device
from tasks.model.files import Policy, load_policy
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.collect import Rollout
from tasks.rollout.domains import (
    confinement_note,
    make_player,
    open_environment,
    play,
    stored_prompts,
)
from tasks.rollout.thoughts import obeys_mode


class Example(Frozen):
    """A prompt with its responses as text, for the report."""

    prompt: str
    messages: tuple[tuple[str, str], ...]
    """(role, content)."""
    turns: tuple[tuple[str, str], ...]
    score: float
    reason: str


class DomainMeasurement(Frozen):
    """A checkpoint's outcomes on a domain's evaluation set."""

    domain: str
    outcomes: tuple[PromptOutcome, ...]
    examples: tuple[Example, ...]

    @property
    def mean(self) -> float:
        """The mean score over prompts and samples."""
        scores = [score for outcome in self.outcomes for score in outcome.scores]
        return sum(scores) / len(scores)


_NUM_EXAMPLES = 3


class Examiner:
    """Evaluates one checkpoint on one domain after another; the model is loaded at most once."""

    def __init__(
        self,
        runner: StepRunner,
        checkpoint: Artifact,
        settings: EvaluationSettings,
        notes: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Load nothing until a domain needs a measurement.

        ``notes`` say what a measurement is made for.
        """
        self._runner, self._checkpoint, self._settings = runner, checkpoint, settings
        self._notes = notes
        self._policy: Policy | None = None

    def measure(
        self, domain: str, environment: Artifact, prompts: Artifact, system_prompt: str = ""
    ) -> Artifact:
        """Return the measurement of the checkpoint on a domain's prompts, recorded or new.

        A teacher reads the ``system_prompt`` of its domain before each prompt.
        """
        derivation = Derivation(
            project=self._runner.project,
            kind="evaluation",
            inputs=(
                Input.of("checkpoint", self._checkpoint),
                Input.of("prompts", prompts),
                Input.of("environment", environment),
                *system_prompt_inputs(system_prompt),
            ),
            source=source_digest("evaluate"),
            settings={"domain": domain, **self._settings.model_dump(mode="json")},
            seed=self._settings.seed,
        )
        store_system_prompt(self._runner.store, system_prompt)

        def make(folder: Path, measurements: Measurements) -> Path:
            policy, sampling = self._load(), self._settings.sampling
            allowed = sampling.allow_unconfined
            with open_environment(
                self._runner.store, environment, domain, allow_unconfined=allowed
            ) as worker:
                player = make_player({domain: worker}, policy, sampling, system_prompt)
                questions = stored_prompts(self._runner.store, prompts)
                rollouts = play(player, domain, questions, self._settings.seed)
                measurements.notes["confinement"] = confinement_note([worker])
            measured = _measured(domain, rollouts)
            measurements.add(0, {f"score/{domain}": measured.mean})
            path = folder / "measured.json"
            path.write_text(measured.model_dump_json(), encoding="utf-8")
            return path

        return self._runner.find_or_make(derivation, "measurement", make, notes=self._notes)

    def _load(self) -> Policy:
        if self._policy is None:
            use_configured_threads()
            folder = self._runner.store.tree(self._checkpoint.digest)
            self._policy = on_rank_device(load_policy(folder, takes_images=True))
        return self._policy


def measure_all(
    runner: StepRunner,
    checkpoint: Artifact,
    plan: Plan,
    settings: EvaluationSettings,
    label: str,
    own: PlannedTeacher | None = None,
) -> list[Artifact]:
    """Return the measurements of a checkpoint on each domain's evaluation set, in their order.

    ``own`` is the teacher that the checkpoint is, if any: it reads its system prompt on its domain.
    """
    examiner = Examiner(runner, checkpoint, settings, plan.made_for)
    teachers, measured = plan.leads, []
    for place, teacher in enumerate(teachers):
        report("evaluate", place, len(teachers), message=f"{label} on {teacher.domain}")
        read = own.system_prompt if own and own.domain == teacher.domain else ""
        measured.append(
            examiner.measure(teacher.domain, teacher.environment, teacher.evaluation, read)
        )
    report("evaluate", len(teachers), len(teachers), message=label)
    return measured


def read_measured(runner: StepRunner, artifact: Artifact) -> DomainMeasurement:
    """Return a stored measurement."""
    return DomainMeasurement.model_validate(json.loads(runner.store.get_bytes(artifact.digest)))


def _measured(domain: str, rollouts: Sequence[Rollout]) -> DomainMeasurement:
    return DomainMeasurement(
        domain=domain,
        outcomes=tuple(map(_outcome, rollouts)),
        examples=tuple(_example(rollout) for rollout in rollouts[:_NUM_EXAMPLES]),
    )


def _outcome(rollout: Rollout) -> PromptOutcome:
    obeys = obeys_mode(rollout.prompt.mode, rollout.turns)
    return PromptOutcome(
        prompt=rollout.prompt.id,
        scores=(rollout.grade.score,),
        lengths=(rollout.num_response_tokens,),
        truncated=(rollout.truncated,),
        mode=rollout.prompt.mode,
        obedient=() if obeys is None else (obeys,),
    )


def _example(rollout: Rollout) -> Example:
    return Example(
        prompt=rollout.prompt.id,
        messages=tuple((m.role, m.content) for m in rollout.prompt.messages),
        turns=tuple((t.role, t.content) for t in rollout.turns),
        score=rollout.grade.score,
        reason=rollout.grade.reason,
    )
