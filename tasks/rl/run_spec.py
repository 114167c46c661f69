"""The specification of an RL run: its inputs by role, its identity, and what is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import system_prompt_inputs
from tasks.contracts.handover import TrainingDomain
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.platform.provenance import source_digest
from tasks.rl.settings import PRETRAINING_ROWS, REFERENCE_MODEL, VALUE_MODEL, RlSettings


@dataclass(frozen=True)
class RunSpec:
    """What a run of RL depends on."""

    start: Artifact
    domains: Sequence[TrainingDomain]
    settings: RlSettings
    seed: int
    models: Mapping[str, Artifact]
    """The other models, by the name that the settings give them."""

    @property
    def names(self) -> list[str]:
        """The domains by name, in order."""
        return [domain.name for domain in self.domains]

    @property
    def system_prompt(self) -> str:
        """The system prompt that the policy reads before each prompt, whatever the domain."""
        return self.domains[0].system_prompt

    @property
    def stage(self) -> str:
        """The run's name in the progress display."""
        return f"{'+'.join(self.names)} rl"

    @property
    def owner(self) -> str:
        """The owner of the domains; "" for domains of several owners."""
        owners = {domain.owner for domain in self.domains}
        return owners.pop() if len(owners) == 1 else ""

    def derivation(self, project: str, step: int) -> Derivation:
        """Return the identity of the checkpoint after a step.

        A rung is the same run stopped earlier, so its record is the run's with ``stop_at``.
        """
        alone = len(self.domains) == 1
        names: JsonValue = self.names[0] if alone else [*self.names]
        return Derivation(
            project=project,
            kind="rung" if step < self.settings.loop.num_steps else "rl",
            inputs=tuple(self._inputs()),
            source=source_digest("rl", "scoring"),
            settings={
                **self.settings.model_dump(mode="json"),
                ("domain" if alone else "domains"): names,
                "stop_at": step,
            },
            seed=self.seed,
        )

    def _inputs(self) -> Iterator[Input]:
        yield Input.of("start", self.start)
        for domain in self.domains:
            name = domain.name if len(self.domains) > 1 else ""
            yield Input.of("prompts", domain.train, name)
            yield Input.of("environment", domain.environment, name)
        yield from system_prompt_inputs(self.system_prompt)
        for name, model in self.models.items():
            yield Input.of(*_role(name, model))

    def refuse(self) -> None:
        """Refuse inputs that do not belong together, before anything is loaded.

        Raises:
            RefusedError: for an artifact of the wrong kind, a domain that is missing or named
                twice, or a model that the settings do not name or lack.
        """
        refuse_other_kind(self.start, "checkpoint", "start")
        if not self.domains or len(set(self.names)) < len(self.names):
            raise RefusedError(
                "domains-not-distinct",
                f"the run has the domains {self.names}: give at least one, and each once",
            )
        for domain in self.domains:
            refuse_other_kind(domain.train, "dataset", "prompts")
            refuse_other_kind(domain.environment, "environment", "environment")
        if len({domain.system_prompt for domain in self.domains}) > 1:
            raise RefusedError(
                "several-system-prompts",
                f"the domains {self.names} have different system prompts, but a policy reads one: "
                "train on them one after another, or give them the same",
            )
        self._refuse_names()
        wanted = self.settings.models()
        for name, kinds in wanted.items():
            if name not in self.models:
                raise RefusedError(
                    "missing-model",
                    f"the settings name the model {name!r}, but the run was given "
                    f"{sorted(self.models)}: pass it, or change the settings",
                )
            given = self.models[name]
            if given.kind not in kinds:
                refuse_other_kind(given, " or ".join(kinds), name)
        if idle := sorted(self.models.keys() - wanted.keys()):
            raise RefusedError(
                "idle-model",
                f"the models {idle} were given, but the settings use only {sorted(wanted)}: leave "
                "them out, or name them in the settings",
            )

    def _refuse_names(self) -> None:
        """Refuse settings of a domain that the run does not have."""
        if unknown := sorted(self.settings.named_domains() - set(self.names)):
            raise RefusedError(
                "unknown-domain",
                f"the settings name the domains {unknown}, but the run has {self.names}: correct "
                "the names, or give the domains",
            )


def _role(name: str, model: Artifact) -> tuple[str, Artifact, str]:
    if name == PRETRAINING_ROWS:
        return ("text" if model.kind == "text" else "data"), model, name
    if name in (REFERENCE_MODEL, VALUE_MODEL):
        return name, model, ""
    return ("reward_model" if model.kind == "reward_model" else "judge"), model, name
