"""A teacher with a climb of four rungs, as a test wants it."""

from lineage.artifacts import Artifact, Rung
from tasks.contracts.handover import MeasuredRung, PlannedTeacher


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
