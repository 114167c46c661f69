"""One MOPD round: the student samples on every domain and learns from each domain's teacher."""

from collections.abc import Iterator
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.record import Derivation, Input
from tasks.handover import Plan
from tasks.ledger.naming import ledger_derivation
from tasks.model.files import load_policy
from tasks.mopd.run import Order, Run, open_source
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.result import save_student
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.resume import States
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
        inputs=tuple(_inputs(plan, settings)),
        source=source_digest("mopd"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        started = now()
        use_configured_threads()
        report("mopd", 0, settings.loop.num_steps, message="load the teachers")
        policy = load_policy(bench.store.tree(plan.student.digest))
        with open_source(bench, plan.leads, policy, settings, seed) as source:
            run = Run(bench, Order(plan, settings, seed), policy, folder / "ledger", source)
            states = States(bench.store, derivation.digest(), run.parts(measurements))
            run.train(measurements, states)
        measurements.add(settings.loop.num_steps, source.routed())
        measurements.notes["confinement"] = source.confinement
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


def _inputs(plan: Plan, settings: RoundSettings) -> Iterator[Input]:
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
        if settings.ladder_stages > 1:
            for rung in teacher.ladder:
                yield Input(
                    role="rung",
                    artifact=rung.checkpoint.digest,
                    record=rung.checkpoint.record,
                    name=teacher.name,
                )
    for lead in plan.leads:
        for role, part in (("prompts", lead.train), ("environment", lead.environment)):
            yield Input(role=role, artifact=part.digest, record=part.record, name=lead.domain)
