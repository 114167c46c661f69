"""One case from its teacher to its students: probe, verdict, remedy, merges, and what each cost."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.common.results import Row
from benchmarks.gate import cases as gate
from benchmarks.gate.fresh.family import MERGE_SEEDS, FreshCase
from benchmarks.gate.fresh.frozen import frozen_gate
from benchmarks.gate.fresh.predictors import Measured, risks
from benchmarks.gate.fresh.teachers import USUAL, FreshTeacher, TeacherSizes, sampling_of, tolerant
from benchmarks.gate.mismatch import Family
from benchmarks.gate.outcome import LOOP, PROMPTS, Otherwise, beside_of, merged, score
from benchmarks.gate.regression import Prediction, predict, stored_calibration
from benchmarks.gate.remedies import gated_with
from lineage.artifacts import Artifact
from tasks.contracts.handover import (
    OnMisfit,
    PlannedTeacher,
    Remedy,
    TeacherVerdict,
    Verdict,
)
from tasks.contracts.remedies import WarmUpSettings
from tasks.gate.measured import LEAST_ROLLOUTS, ProbeSettings, TeacherMeasure
from tasks.gate.probe import WELL_GRADED
from tasks.gate.reading import log_likelihoods
from tasks.gate.remedied import measure_remedies
from tasks.gate.verdict import GateSettings, Judged, applied_remedy, judge
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.onpolicy.microbatch import ScoredRollout
from tasks.onpolicy.settings import LoopSettings
from tasks.platform.resources import use_configured_threads
from tasks.rollout.domains import make_player, open_environment, play, stored_prompts
from tasks.rollout.settings import SamplingSettings
from tasks.sft.warm_up import warm_up_student

WARM_UP = WarmUpSettings()


@dataclass(frozen=True)
class CaseSizes:
    """How much a case is trained and measured."""

    teachers: TeacherSizes = USUAL
    warm_up: WarmUpSettings = WARM_UP
    loop: LoopSettings = LOOP
    prompts: int = PROMPTS
    """Prompts of each domain in a step of a merge."""
    merge_seeds: Sequence[int] = MERGE_SEEDS


AS_FROZEN = CaseSizes()


def run_case(family: Family, case: FreshCase, sizes: CaseSizes = AS_FROZEN) -> Row:
    """Return the row of a case. What is finished in the family's store is found, not made again."""
    use_configured_threads()
    return CaseRun(tolerant(family), case, sizes).row()


class CaseRun:
    """A case with its teacher, made once."""

    def __init__(self, family: Family, case: FreshCase, sizes: CaseSizes) -> None:
        self._family, self._case, self._sizes = family, case, sizes
        self._own = family.teacher(case.domain)
        self._sampling = sampling_of(case)
        self._spent: dict[str, float] = {}
        self._mark = processor_seconds()
        self._checkpoint = FreshTeacher(family, case, sizes.teachers).made()
        self._lap("teacher")

    def _lap(self, what: str) -> None:
        now = processor_seconds()
        self._spent[what], self._mark = round(now - self._mark, 1), now

    def row(self) -> Row:
        """Measure, judge, remedy and merge."""
        found = self._probe()
        judged = judge(found.measure, self._own.reference, GateSettings())
        done = applied_remedy(judged, OnMisfit.REMEDY)
        plain = self._merges(None)
        self._lap("merges")
        remedied = self.remedied(judged, done) if done is Remedy.WARM_UP else None
        case = self._case
        return {
            "case": case.name,
            "seed": case.seed,
            "kind": case.kind,
            "domain": case.domain,
            "level": case.level,
            "group": case.group.value,
            "gate": frozen_gate(),
            "verdict": judged.verdict.value,
            "reasons": [reason.code for reason in judged.reasons],
            "expected": _kept(found.prediction),
            "risks": {
                name: value if value < float("inf") else None
                for name, value in risks(found).items()
            },
            "measured": found.measure.model_dump(mode="json"),
            "probe_seconds": self._probe_seconds,
            "merges": plain,
            "remedy": remedied,
            "final": final_verdict(judged.verdict, remedied),
            "processor_seconds": self._spent,
        }

    def _probe(self) -> Measured:
        """Measure the teacher as the gate does, and what the gate does not measure."""
        family, own = self._family, self._own
        settings = ProbeSettings(sampling=self._sampling)
        said = gate.probe(family, own, self._checkpoint, settings)
        self._lap("probe")
        self._probe_seconds = said.pop("probe_seconds")
        measure = TeacherMeasure.model_validate(said)
        readable = measure.reading.finite
        found = Measured(
            measure=measure,
            prediction=predict(measure, stored_calibration()) if readable else None,
            protocol=self._protocol() if readable else None,
        )
        self._lap("protocol")
        return found

    def _protocol(self) -> float | None:
        store = self._family.runner.store
        student = load_policy(store.tree(self._family.plan.student.digest))
        teacher = load_policy(store.tree(self._checkpoint.digest))
        asked = Policy(teacher.model, student.tokenizer)
        return protocol_nats(self._family, self._own, (student, asked), self._sampling)

    def _merges(self, student: Artifact | None) -> list[dict[str, Any]]:
        """Merge with each seed from a student, by default the fork point."""
        return [
            {"seed": seed, **vars(merged(self._family, self._own, self._checkpoint, how))}
            for seed in self._sizes.merge_seeds
            for how in [
                Otherwise(
                    student=student,
                    seed=seed,
                    sampling=self._sampling,
                    loop=self._sizes.loop,
                    prompts=self._sizes.prompts,
                )
            ]
        ]

    def remedied(self, judged: Judged, done: Remedy) -> dict[str, Any]:
        """Warm the student up as ``on_misfit=remedy`` does; grade it alone and after merges."""
        family, own = self._family, self._own
        verdict = TeacherVerdict(
            name=own.name,
            domain=own.domain,
            verdict=judged.verdict,
            proposed=judged.remedy,
            done=done,
        )
        teacher = own.model_copy(update={"checkpoint": self._checkpoint})
        gated = gated_with(family, [teacher, beside_of(family, own)], verdict)
        after = warm_up_student(family.runner, gated, self._sizes.warm_up, self._sampling, 0)
        (outcome,) = measure_remedies(family.runner, gated, after, self._sampling, 0)
        alone = score(family, after.student, own, self._sampling)
        self._lap("warm-up")
        merges = self._merges(after.student)
        self._lap("merges after it")
        return {
            "validation": outcome.model_dump(mode="json"),
            "verdict": outcome.verdict.value,
            "alone": alone,
            "merges": merges,
        }


def final_verdict(verdict: Verdict, remedied: Row | None) -> str:
    """Return the verdict after the remedy, or the gate's own where none was applied."""
    return str(remedied["verdict"]) if remedied else verdict.value


def protocol_nats(
    family: Family,
    own: PlannedTeacher,
    policies: tuple[Policy, Policy],
    sampling: SamplingSettings,
) -> float | None:
    """Return the student's nats per token on a teacher's right answers to validation prompts.

    It says how well the student speaks as the teacher does. None with too few right answers.

    Args:
        family: Whose store.
        own: The teacher in the case's place: prompts and environment.
        policies: The student, and the case's teacher with the student's tokenizer.
        sampling: How the teacher answers.
    """
    (student, teacher), store = policies, family.runner.store
    prompts = stored_prompts(store, own.validation)[: ProbeSettings().prompts_per_domain]
    with open_environment(store, own.environment, own.domain, allow_unconfined=False) as worker:
        player = make_player({own.domain: worker}, teacher, sampling)
        played = play(player, own.domain, prompts, ProbeSettings().seed)
    right = [ScoredRollout(rollout) for rollout in played if rollout.grade.score > WELL_GRADED]
    if len(right) < LEAST_ROLLOUTS:
        return None
    pad = ChatTokens(student.tokenizer).pad_id
    rows = log_likelihoods(student.model.eval(), right, pad)
    return -sum(total for total, _ in rows) / sum(count for _, count in rows)


def processor_seconds() -> float:
    """Return what this process and its ended children have spent."""
    return sum(os.times()[:4])


def _kept(prediction: Prediction | None) -> dict[str, Any] | None:
    return None if prediction is None else prediction.model_dump(mode="json")
