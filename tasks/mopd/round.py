"""One MOPD round: the student samples on every domain and learns from each domain's teacher."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lineage.artifacts import Artifact
from lineage.record import Derivation
from tasks.handover import Plan
from tasks.ledger.naming import ledger_derivation
from tasks.model.files import load_policy
from tasks.mopd.cast import cast_of, inputs_of
from tasks.mopd.run import Order, Run, open_source
from tasks.mopd.settings import RoundSettings
from tasks.onpolicy.parallel.bench import SharedBench
from tasks.onpolicy.result import save_student
from tasks.progress import report
from tasks.provenance import source_digest
from tasks.ranks import joined_ranks
from tasks.resume import Part, States
from tasks.step import Bench, Measurements, now
from tasks.threads import use_configured_threads


def distil_round(
    bench: Bench,
    plan: Plan,
    settings: RoundSettings,
    seed: int,
    more: Mapping[str, Part] = MappingProxyType({}),
) -> Artifact:
    """Return the student that the round ends with; found, or else made.

    Every process that a launcher has started calls it; they work on the one student together, and
    the first of them writes. The metrics of the record hold, for each teacher, the KL at every
    step and the tokens that were routed to it. The ledger stands in the store under
    ``ledger_derivation``. A run that was killed goes on from its last state, to the same bits.
    ``more`` are parts of that state besides the round's own.

    Raises:
        ValueError: before anything is trained, for teachers, prompts or settings that cannot work.
        MemoryError: for a run that does not fit.
    """
    with joined_ranks():
        return _Round(SharedBench(bench.store), plan, settings, seed, more).result()


class _Round:
    """One round: what it is, and how it is made."""

    def __init__(
        self,
        bench: Bench,
        plan: Plan,
        settings: RoundSettings,
        seed: int,
        more: Mapping[str, Part],
    ) -> None:
        self._bench, self._settings, self._seed = bench, settings, seed
        self._more = more
        self._cast = cast_of(bench.store, plan, settings)
        self._derivation = Derivation(
            project=bench.project,
            kind="mopd",
            inputs=tuple(inputs_of(self._cast, settings)),
            source=source_digest("mopd"),
            settings=settings.model_dump(mode="json"),
            seed=seed,
        )

    def result(self) -> Artifact:
        """Return the student."""
        return self._bench.find_or_make(
            self._derivation, "checkpoint", self._make, owner="consolidation"
        )

    def _make(self, folder: Path, measurements: Measurements) -> Path:
        bench, settings, plan = self._bench, self._settings, self._cast.plan
        started = now()
        use_configured_threads()
        report("mopd", 0, settings.loop.num_steps, message="load the teachers")
        policy = load_policy(bench.store.tree(plan.student.digest))
        with open_source(bench, plan.leads, policy, settings, self._seed) as source:
            order = Order(self._cast, settings, self._seed)
            run = Run(bench, order, policy, folder / "ledger", source)
            measurements.notes |= plan.made_for
            measurements.notes["estimate"] = str(run.needed)
            parts = {**run.parts(measurements), **self._more}
            states = States(bench.store, self._derivation.digest(), parts)
            run.train(measurements, states)
        measurements.add(settings.loop.num_steps, source.routed())
        measurements.notes["confinement"] = source.confinement
        # First the ledger: a run that is killed between the two makes both again.
        bench.commit(
            ledger_derivation(self._derivation),
            "ledger",
            folder / "ledger",
            started,
            Measurements("ledger", notes=plan.made_for),
            owner="consolidation",
        )
        return save_student(run.learner, policy.tokenizer, folder / "model")
