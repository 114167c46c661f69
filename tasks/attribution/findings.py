"""Computes all findings of an audit, from a student in memory and its behaviors.

Shapes: B behaviors, P sources, T teachers, R resamples, N response tokens of a batch.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from lineage.artifacts import Artifact
from tasks.attribution.behavior import Behavior
from tasks.attribution.caveats import (
    approvals,
    not_tested,
    source_of,
    start_words,
    waivers,
    weights_change,
)
from tasks.attribution.counterfactual import verify
from tasks.attribution.document import (
    Audit,
    AuditVerdict,
    BehaviorShare,
    GroupShare,
    Influence,
    RetrainResult,
    SegmentShare,
    ShareEstimate,
    TokenShare,
    Witness,
)
from tasks.attribution.estimators import (
    ESTIMATORS,
    EstimatorInput,
    estimate,
    resampled,
    share_that_name,
)
from tasks.attribution.influence import search, segments_to_search
from tasks.attribution.log_ratio import log_ratios
from tasks.attribution.naming import holders, named
from tasks.attribution.opened import Opened, load_weights, placed
from tasks.attribution.path_integral import BATCH, Allocation, split, spread
from tasks.attribution.replay import replay_words
from tasks.attribution.set_verdict import judge_sets, off_domain
from tasks.attribution.subject import AuditedStudent
from tasks.attribution.trajectory import walker
from tasks.attribution.verdict import Case, judge, with_truth, witness
from tasks.attribution.warmed import with_warm_up
from tasks.ledger.split_adamw import RESERVED
from tasks.model.chat import ChatTokens
from tasks.platform.step_runner import StepRunner, now

MOST_TOKENS_SHOWN = 24
"""Maximum number of behaviors with tokens in the document; for others it holds only the sums."""


class Findings:
    """Computes the findings of one audit."""

    def __init__(
        self,
        runner: StepRunner,
        subject: AuditedStudent,
        models: Opened,
        behaviors: Sequence[Behavior],
        seed: int,
    ) -> None:
        """Split the behaviors by source.

        Raises:
            ValueError: for a response that the student's tokenizer cannot give.
        """
        self._runner, self._subject, self._models, self._seed = runner, subject, models, seed
        self._chat = ChatTokens(models.policy.tokenizer)
        self._approximate = replay_words(subject.ledger)
        self._course = walker(subject.ledger, models.start)
        self._round = split(behaviors, placed(models.policy), self._course)
        self._split = self._round
        if subject.warmed_on:
            self._split = with_warm_up(self._round, load_weights(runner, subject.origin))
        self._parts = self._split.parts
        self._sources = [part for part in self._parts if part not in RESERVED]
        self._table_PB = self._split.table()
        self._means_PR = resampled(self._table_PB, seed)
        self._teachers = [teacher.name for teacher in subject.teachers]
        self._taught_TB = log_ratios(runner, subject, self._split, models.policy)

    def document(
        self,
        inputs: Mapping[str, str],
        drawn: Mapping[str, str],
        retrained: Sequence[Artifact],
    ) -> Audit:
        """Return the document; ``retrained`` are the checkpoints of the retrains."""
        witnesses = self._witnesses()
        influences, searched = self._influences()
        verification = (
            verify(self._runner, self._subject, self._models, self._split, retrained)
            if retrained
            else None
        )
        case, groups = self._case(), tuple(self._groups())
        return Audit(
            student=self._subject.reference,
            start=start_words(self._subject),
            warmed_on=self._subject.warmed_on,
            created=now()[:19],
            inputs=inputs,
            sources=tuple(source_of(self._subject, part) for part in self._parts),
            count=case.count,
            begun=case.begun,
            ended=case.ended,
            shares=dict(zip(self._parts, self._estimates(), strict=True)),
            approximate=self._approximate,
            residual=float(self._split.residuals().max()),
            weights=weights_change(self._models.conservation),
            behaviors=tuple(self._behaviors()),
            course=tuple(self._stretches()),
            groups=groups,
            witnesses=witnesses,
            influences=influences,
            searched=searched,
            verification=verification,
            verdict=self._verdict(case, groups, witnesses, verification),
            approvals=approvals(self._runner, self._subject),
            waivers=waivers(self._runner, self._subject),
            drawn=drawn,
            not_tested=not_tested(self._subject, case.count, verified=verification is not None),
        )

    def _case(self) -> Case:
        behaviors = self._split.behaviors
        means = dict(zip(self._parts, self._table_PB.mean(1).tolist(), strict=True))
        parts = {source: means[source] for source in self._sources}
        taught = dict(zip(self._teachers, self._taught_TB.mean(1).tolist(), strict=True))
        means_TR, sure = resampled(self._taught_TB, self._seed), None
        if means_TR is not None:
            best = max(self._teachers, key=lambda teacher: taught[teacher])
            sure = share_that_name(self._teachers.index(best), means_TR)
        tokens = sum(len(batch.encoded.owners_N) for batch in self._split.batches)
        contrasts = any(item.contrast is not None for item in behaviors)
        sources = [source_of(self._subject, source) for source in self._sources]
        return Case(
            count=len(behaviors),
            begun=float(self._split.begun().mean()),
            ended=float(self._split.ended().mean()),
            parts=parts,
            taught=taught,
            num_tokens=0 if contrasts else tokens / len(behaviors),
            sure=sure,
            owners={source.name: source.owner for source in sources},
            start=start_words(self._subject),
            warmed_on=self._subject.warmed_on,
        )

    def _verdict(
        self,
        case: Case,
        groups: Sequence[GroupShare],
        witnesses: Sequence[Witness],
        verification: RetrainResult | None,
    ) -> AuditVerdict:
        several = len(groups) > 1
        off = off_domain(groups, self._sources, case.warmed_on) if several else []
        verdict = (
            judge_sets(groups, self._sources, case.count, case.owners, case.warmed_on)
            if several
            else judge(case, witnesses)
        )
        if self._approximate:
            confidence = f"{verdict.confidence} Names were not tested with a replayed split."
            verdict = verdict.model_copy(update={"confidence": confidence})
        if verification is None:
            return verdict
        return with_truth(verdict, verification, [(group.domain, source) for group, source in off])

    def _estimates(self) -> list[ShareEstimate]:
        return [
            estimate(values_B, None if self._means_PR is None else self._means_PR[place])
            for place, values_B in enumerate(self._table_PB)
        ]

    def _behaviors(self) -> Iterable[BehaviorShare]:
        begun_B, ended_B = self._split.begun(), self._split.ended()
        residual_B = self._split.residuals()
        tokens = self._tokens()
        for place, item in enumerate(self._split.behaviors):
            parts = dict(zip(self._parts, self._table_PB[:, place].tolist(), strict=True))
            taught = dict(zip(self._teachers, self._taught_TB[:, place].tolist(), strict=True))
            by_source = {source: parts[source] for source in self._sources}
            change = float(ended_B[place] - begun_B[place])
            yield BehaviorShare(
                name=item.name,
                domain=item.domain,
                prompt="\n".join(f"{turn.role}: {turn.content}" for turn in item.prompt),
                response=item.response,
                contrast=item.contrast,
                start=float(begun_B[place]),
                end=float(ended_B[place]),
                parts=parts,
                taught=taught,
                residual=float(residual_B[place]),
                named=named(by_source, taught, change),
                holders=holders(by_source, taught, change),
                tokens=tokens.get(place, ()),
            )

    def _tokens(self) -> dict[int, tuple[TokenShare, ...]]:
        """Return the tokens of some behaviors by their place, an equal number per domain."""
        found = {}
        for place in spread([item.domain for item in self._split.behaviors], MOST_TOKENS_SHOWN):
            number, local = divmod(place, BATCH)
            allocation = self._split.allocations[number]
            found[place] = self._tokens_of(allocation, allocation.encoded.of(local))
        return found

    def _tokens_of(self, allocation: Allocation, places: Tensor) -> tuple[TokenShare, ...]:
        ids = allocation.encoded.tokens.tokens_N[places].tolist()
        parts = {part: allocation.tokens(part)[places].tolist() for part in self._parts}
        return tuple(
            TokenShare(
                text=str(self._chat.tokenizer.decode([token])),
                start=float(allocation.start_N[places[at]]),
                end=float(allocation.end_N[places[at]]),
                parts={part: values[at] for part, values in parts.items()},
            )
            for at, token in enumerate(ids)
        )

    def _stretches(self) -> Iterable[SegmentShare]:
        for place, segment in enumerate(self._split.allocations[0].segments):
            means = self._split.of_segment(place).mean(1).tolist()
            yield SegmentShare(
                first_step=segment.first_step,
                last_step=segment.last_step,
                parts=dict(zip(self._parts, means, strict=True)),
            )

    def _groups(self) -> Iterable[GroupShare]:
        domains = [item.domain for item in self._split.behaviors]
        begun_B, ended_B = self._split.begun(), self._split.ended()
        for domain in dict.fromkeys(domains):
            own = torch.tensor([at for at, name in enumerate(domains) if name == domain])
            yield GroupShare(
                domain=domain,
                count=len(own),
                owner=self._subject.owners.get(domain, ""),
                start=float(begun_B[own].mean()),
                end=float(ended_B[own].mean()),
                parts=self._estimates_of(self._parts, self._table_PB[:, own]),
                taught=self._estimates_of(self._teachers, self._taught_TB[:, own]),
            )

    def _estimates_of(self, names: Sequence[str], table_PB: Tensor) -> dict[str, ShareEstimate]:
        means_PR = resampled(table_PB, self._seed)
        return {
            name: estimate(table_PB[at], None if means_PR is None else means_PR[at])
            for at, name in enumerate(names)
        }

    def _witnesses(self) -> tuple[Witness, ...]:
        """Return the results of the other estimators, as means over all behaviors."""
        total: dict[str, dict[str, float]] = {}
        for batch in self._split.batches:
            evidence = EstimatorInput(
                encoded=batch.encoded,
                scorer=batch.scorer,
                course=self._course,
                segments=self._subject.ledger.manifest.segments,
                teachers={},
                owners=self._subject.owners,
            )
            for name, estimator in ESTIMATORS.items():
                sums = total.setdefault(name, {})
                for source, values_B in estimator(evidence).items():
                    sums[source] = sums.get(source, 0.0) + float(values_B.sum())
        count = len(self._split.behaviors)
        return tuple(
            witness(name, {source: value / count for source, value in sums.items()})
            for name, sums in total.items()
        )

    def _influences(self) -> tuple[tuple[Influence, ...], str]:
        """Search each teacher's strongest segment for the most influential rollouts."""
        return search(
            self._split.batches[0],
            segments_to_search(self._round.allocations[0], self._teachers),
            list(self._subject.ledger.rollouts()),
            self._course(),
            self._chat,
        )
