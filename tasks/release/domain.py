"""Collects a team's domain: source bundle, prompts, held-out evaluation set, demonstrations.

The team's code is bundled as source and gives its prompts in a confined worker: it never runs
with the pipeline's credentials, not even to make data.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.compatibility.sketch import sketch
from lineage.digest import canonical_json
from lineage.records.record import Derivation, Input
from lineage.registry.registry import check_may_publish
from lineage.wheels import wheel_in
from tasks.contracts.handover import BlendSettings, Domain, DomainSettings
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.release.preflight import refusing_count, try_environment
from tasks.rollout.domains import confinement_note, open_environment, stored_prompts
from tasks.rollout.environment import Split
from tasks.rollout.prompts import refuse_overlap, write_demonstrations, write_prompts
from tasks.rollout.worker.bundle import check, collect
from tasks.rollout.worker.client import EnvironmentWorker

_BLEND_SEED = 1_000_000
FOUNDATION = "workflows.foundation"
"""Module with the settings of the blend."""


def collect_domain(runner: StepRunner, package: str, settings: DomainSettings, seed: int) -> Domain:
    """Return the domain of the ``environment.py`` and ``prompts.py`` in ``package``.

    Raises:
        BundleError: if the source has a forbidden import, or lacks a part.
        RefusedError: if its requirements are not locked, or a wheel of the lock is not in the
            store, is hostile, or does not run here.
        EnvironmentFailure: if its prompts cannot be generated.
        PromptError: if training and evaluation prompts overlap.
        NotEntitledError: if this key may not release the teacher.
    """
    check_may_publish(runner.store, f"teacher.{settings.name}")
    environment = _bundle(runner, package, settings.name, settings.owner)
    report(f"{settings.name} domain", 0, 4, message="prompts and demonstrations")
    team = _Team(settings.name, settings.owner, settings.license, settings.allow_unconfined)
    make = _Maker(runner, environment, team, seed)
    place = f"DOMAIN in {package}.settings"
    train = make.prompts("train", settings.num_train, f"num_train of {place}")
    validation = make.prompts("validation", settings.num_validation, f"num_validation of {place}")
    evaluation = make.prompts("evaluation", settings.num_evaluation, f"num_evaluation of {place}")
    demonstrations = make.demonstrations(
        settings.num_demonstrations, f"num_demonstrations of {place}"
    )
    held_out = stored_prompts(runner.store, evaluation)
    for seen in (train, validation):
        refuse_overlap(stored_prompts(runner.store, seen), held_out)
    return Domain(
        settings=settings,
        environment=environment,
        train=train,
        validation=validation,
        evaluation=evaluation,
        demonstrations=demonstrations,
        sketches=_sketch(runner, demonstrations, settings.owner),
    )


def collect_blend(runner: StepRunner, blend: BlendSettings, seed: int) -> list[Artifact]:
    """Return the demonstrations that each domain contributes to the shared supervised stage.

    They are drawn apart from the teams' own, which come from ``seed`` itself.
    """
    data = []
    for place, part in enumerate(blend.contributions):
        report("blend", place, len(blend.contributions), message=part.domain)
        environment = _bundle(runner, part.package, part.domain, part.owner)
        team = _Team(part.domain, part.owner, part.license, blend.allow_unconfined)
        make = _Maker(runner, environment, team, seed + _BLEND_SEED)
        setting = f"count of its Contribution to BLEND in {FOUNDATION}"
        data.append(make.demonstrations(part.count, setting))
        _sketch(runner, data[-1], part.owner)
    return data


def _bundle(runner: StepRunner, package: str, domain: str, owner: str) -> Artifact:
    """Store the bundle; its own digest is its identity, so it is collected anew each time."""
    with tempfile.TemporaryDirectory(prefix="provost-") as folder:
        bundle = collect(package, Path(folder, "bundle"), partial(wheel_in, runner.store))
        check(bundle)
        digest = runner.store.put_tree(bundle)
    derivation = Derivation(
        project=runner.project,
        kind="environment",
        inputs=(),
        source=digest,
        settings={"domain": domain},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        # For who asks the team to climb again: the bundle does not say where it comes from.
        measurements.notes["package"] = package
        return runner.store.tree(digest)

    return runner.find_or_make(derivation, "environment", make, owner)


def _sketch(runner: StepRunner, data: Artifact, owner: str) -> Artifact:
    """Sketch a supervised data set once, when it is made."""
    derivation = Derivation(
        project=runner.project,
        kind="sketch",
        inputs=(Input.of("data", data),),
        source=source_digest("release"),
        settings={},
        seed=0,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        rows = runner.store.get_bytes(data.digest).decode("utf-8").splitlines()
        path = folder / "sketch.json"
        path.write_bytes(canonical_json(sketch(rows).model_dump(mode="json")))
        return path

    return runner.find_or_make(derivation, "sketch", make, owner)


@dataclass(frozen=True)
class _Team:
    """Owner and license of the data, and whether the team's code may run unconfined."""

    domain: str
    owner: str
    license: str
    allow_unconfined: bool


class _Maker:
    """Makes a domain's data sets, each a record of its own."""

    def __init__(self, runner: StepRunner, environment: Artifact, team: _Team, seed: int) -> None:
        self._runner, self._environment, self._team, self._seed = runner, environment, team, seed

    def prompts(self, split: Split, count: int, setting: str) -> Artifact:
        """Make the prompts of a split; ``setting`` names where the count comes from."""

        def write(worker: EnvironmentWorker, path: Path) -> None:
            with refusing_count(count, setting):
                made = worker.prompts(split, count, self._seed)
            write_prompts(path, made)

        return self._make("prompts", split, count, write)

    def demonstrations(self, count: int, setting: str) -> Artifact:
        """Make the demonstrations, of which one is graded: nothing trains before that works."""

        def write(worker: EnvironmentWorker, path: Path) -> None:
            with refusing_count(count, setting):
                made = worker.demonstrations(count, self._seed)
            try_environment(worker, made, self._seed)
            worker.refuse_network()
            write_demonstrations(path, made)

        return self._make("demonstrations", "train", count, write)

    def _make(
        self, kind: str, split: str, count: int, write: Callable[[EnvironmentWorker, Path], None]
    ) -> Artifact:
        derivation = Derivation(
            project=self._runner.project,
            kind=kind,
            inputs=(Input.of("environment", self._environment),),
            source=source_digest("release"),
            settings={
                "domain": self._team.domain,
                "split": split,
                "count": count,
                "allow_unconfined": self._team.allow_unconfined,
            },
            seed=self._seed,
        )

        def make(folder: Path, measurements: Measurements) -> Path:
            path = folder / f"{split}.jsonl"
            with open_environment(
                self._runner.store,
                self._environment,
                self._team.domain,
                allow_unconfined=self._team.allow_unconfined,
            ) as worker:
                measurements.notes["confinement"] = confinement_note([worker])
                write(worker, path)
            if self._team.license:
                measurements.notes["license"] = self._team.license
            return path

        return self._runner.find_or_make(derivation, "dataset", make, self._team.owner)
