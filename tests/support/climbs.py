"""A teacher with a climb of four rungs as a test wants it; what a released one climbed with."""

from lineage.artifacts import Artifact, Release, Rung, read_manifest
from lineage.registry.registry import Registry
from tasks.contracts.handover import Domain, DomainSettings, MeasuredRung, PlannedTeacher


def artifact(kind, number=0):
    return Artifact(kind=kind, digest=f"sha256:{number:064x}")


def rungs(*steps):
    return [Rung(step=step, checkpoint=artifact("checkpoint", step)) for step in steps]


def teacher(ladder, kl=None, **more):
    data = artifact("dataset")
    return PlannedTeacher(
        name="math",
        domain="math",
        reference="teacher.math@1",
        owner="team-math",
        release=artifact("release"),
        checkpoint=artifact("checkpoint", 99),
        ladder=ladder,
        ladder_kl=[MeasuredRung(step=step, kl=nats) for step, nats in (kl or {}).items()],
        environment=artifact("environment"),
        train=data,
        validation=data,
        evaluation=data,
        **more,
    )


CLIMB = rungs(20, 40, 60, 80)


def climbed_from(store, team):
    """Return the start and the domain of a team's released climb."""
    release = read_manifest(store, Registry(store).resolve(f"{team}@released").digest, Release)
    domain = Domain(
        settings=DomainSettings(name=team, owner=f"team-{team}", version="1"),
        environment=release.environment,
        train=release.prompts.train,
        validation=release.prompts.validation,
        evaluation=release.evaluation,
        demonstrations=release.sft.data,
        sketches=Artifact(kind="sketch", digest=release.sft.sketches),
    )
    return release.precursor, domain
