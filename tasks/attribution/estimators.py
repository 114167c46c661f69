"""Ways to say which source shaped a behaviour, side by side: what is asked of all is a number each.

Only the path integral adds up to what training did. The others stand beside it because each is what
somebody would try first, and because the owner of the prompt's domain is a guess that any of them
must beat.

Shapes: B behaviours, N response tokens of them together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tasks.attribution.behaviour import Encoded
from tasks.attribution.course import Scorer, Stretch, Weights
from tasks.attribution.path_integral import allocate
from tasks.ledger.schema import Segment
from tasks.ledger.split_adamw import RESERVED


@dataclass(frozen=True)
class EstimatorInput:
    """What an estimator may look at."""

    encoded: Encoded
    scorer: Scorer
    course: Callable[[], Iterable[Stretch]]
    """Walks the run anew at each call."""
    segments: tuple[Segment, ...]
    teachers: Mapping[str, Callable[[], Weights]]
    """Gives each teacher's own weights, when they are asked for."""
    owners: Mapping[str, str]
    """Domain to the teacher that it was routed to."""

    @property
    def sources(self) -> list[str]:
        """What a behaviour may be attributed to; decay and rounding are nobody."""
        return [part for part in self.segments[0].norms if part not in RESERVED]


class Estimator(Protocol):
    """One way to attribute."""

    @property
    def name(self) -> str:
        """As tables call it."""

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return by source how much of each behaviour [B] it is said to have shaped."""


class PathIntegral:
    """The integral of the behaviour's gradient along the run, split by source; in nats."""

    name = "path integral"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return each source's share of what training did; with decay and rounding they add up."""
        allocation = allocate(evidence.scorer, evidence.encoded, evidence.course())
        return {source: allocation.behaviours(source) for source in evidence.sources}


class TracIn:
    """The behaviour's gradient where each segment begins, times what each source then added.

    TracIn (2002.08484, eq. 1) over segments in place of steps; the displacements are AdamW's own,
    so its preconditioner is in them. In nats, but it need not add up.
    """

    name = "tracin"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return the first-order effect of each source."""
        return _first_order(evidence)[0]


class BoundedTracIn:
    """``TracIn``, but no absence makes a response surer than certain; in nats.

        max(sum over k of grad f(w_k) . D_k[s],  f(w_end))

    An absence changes f(w_end) by less the first, and the log-probability that is left can't be
    above 0. Most behaviours that one asks about are said nearly always: of a teacher whose updates
    were against them TracIn says that they would be said many nats more, and there is no room. The
    log-odds against a contrast have no such bound.
    """

    name = "tracin, bounded"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return the first-order effect of each source, where there is room for it."""
        found, end = _first_order(evidence)
        ended_B = evidence.encoded.total(evidence.scorer.log_probs(end))
        against = [item.contrast is not None for item in evidence.encoded.behaviours]
        least_B = ended_B.masked_fill(torch.tensor(against), -torch.inf)
        return {source: torch.maximum(nats_B, least_B) for source, nats_B in found.items()}


class Absence:
    """What the student's weights say less what they say without a source's displacement.

    The effect of surgery, not of a retrain; in nats.
    """

    name = "surgery"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return how much each behaviour loses where a source's part is taken out."""
        taken: dict[str, dict[str, Tensor]] = {}
        end: dict[str, Tensor] = {}
        for stretch in evidence.course():
            end = stretch.at(1.0)
            for source in evidence.sources:
                moved = stretch.parts[source]
                own = taken.get(source)
                taken[source] = {n: t if own is None else own[n] + t for n, t in moved.items()}
        whole_N = evidence.scorer.log_probs(end)
        found = {}
        for source, moved in taken.items():
            without_N = evidence.scorer.log_probs({n: t - moved[n] for n, t in end.items()})
            found[source] = evidence.encoded.total(whole_N - without_N)
        return found


class LogRatio:
    """How much likelier a teacher finds the behaviour than the fork point did; in nats.

    It knows nothing of the training: a teacher that would say it is not one that was heard.
    """

    name = "teacher over fork point"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return log p of each teacher less log p of the fork point."""
        start = next(iter(evidence.course())).start
        before_N = evidence.scorer.log_probs(start)
        return {
            source: evidence.encoded.total(evidence.scorer.log_probs(load()) - before_N)
            for source, load in evidence.teachers.items()
        }


class TaughtAndHeard:
    """The smaller of what a source's updates did and of what its teacher says itself; in nats.

    Teachers' updates cancel each other where they speak about the same words in general ("tea",
    whoever asks), and the path integral hands these pushes out one by one although they came to
    nothing. A teacher that would say it may never have been heard. Who is named for both is named.
    """

    name = "taught and heard"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return the smaller of ``PathIntegral`` and ``LogRatio``; of no teacher, the former."""
        moved = PathIntegral().attribute(evidence)
        says = LogRatio().attribute(evidence)
        return {
            source: torch.minimum(parts_B, says[source]) if source in says else parts_B
            for source, parts_B in moved.items()
        }


class Rehearsed:
    """What is said with a source less what a rehearsal without it says; in nats.

        (f(w_end) + f(rehearsed with all)) / 2 - f(rehearsed without s)

    The run is made again from the rollouts that its ledger kept (``onpolicy.rehearsal``), so what
    the others would have done in a source's absence, and undone, is computed. Only what the student
    would have said then is not. The first term is a mean, because the student's own chance is in
    f(w_end), and the rehearsal's lack of what was not kept in the other.
    """

    name = "rehearsal"

    def __init__(self, rehearse: Callable[[Sequence[str]], Weights]) -> None:
        """Take what rehearses the run without some sources and gives the weights it ends with."""
        self._rehearse = rehearse

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return how much each behaviour loses in each source's absence."""
        for stretch in evidence.course():
            last = stretch
        student_N = evidence.scorer.log_probs(last.at(1.0))
        whole_N = (student_N + evidence.scorer.log_probs(self._rehearse(()))) / 2
        return {
            source: evidence.encoded.total(
                whole_N - evidence.scorer.log_probs(self._rehearse((source,)))
            )
            for source in evidence.sources
        }


class RehearsedAndBounded:
    """A rehearsal, and a tenth of what ``BoundedTracIn`` says; in nats. The best guess at absence.

    A rehearsal is one run, with the chance of one. The ledger's slopes have another: where the
    rehearsal tells little of a behaviour's sources apart, they order them. The tenth was chosen on
    two sets of teachers (docs/attribution.md); in nats they say far more than absence does.
    """

    name = "rehearsal + a tenth of tracin, bounded"

    def __init__(self, rehearse: Callable[[Sequence[str]], Weights]) -> None:
        """Take what ``Rehearsed`` takes."""
        self._rehearsed = Rehearsed(rehearse)

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return how much each behaviour loses in each source's absence."""
        slopes = BoundedTracIn().attribute(evidence)
        rehearsed = self._rehearsed.attribute(evidence)
        return {source: nats_B + slopes[source] / 10 for source, nats_B in rehearsed.items()}


class Owner:
    """Names the teacher of the prompt's domain, whatever was said: the guess to beat."""

    name = "owner of the domain"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return 1 for the teacher that the behaviour's domain is routed to, and 0 for others."""
        behaviours = evidence.encoded.behaviours
        return {
            source: torch.tensor(
                [float(evidence.owners.get(item.domain) == source) for item in behaviours]
            )
            for source in evidence.sources
        }


class Movement:
    """How far each source moved the weights, the same for every behaviour: knows no teacher apart.

    A control: what it gets right needs nothing of the behaviour.
    """

    name = "distance moved"

    def attribute(self, evidence: EstimatorInput) -> Mapping[str, Tensor]:
        """Return the summed norm of each source's displacements."""
        count = len(evidence.encoded.behaviours)
        return {
            source: torch.full((count,), sum(s.norms[source] for s in evidence.segments))
            for source in evidence.sources
        }


def _first_order(evidence: EstimatorInput) -> tuple[dict[str, Tensor], Weights]:
    """Return the first-order effect of each source [B], and the weights where the run ends."""
    total = {source: torch.zeros(len(evidence.encoded.behaviours)) for source in evidence.sources}
    end: Weights = {}
    for stretch in evidence.course():
        directions = [stretch.parts[source] for source in evidence.sources]
        slopes_PN = evidence.scorer.derivatives(stretch.start, directions)
        for source, slope_N in zip(evidence.sources, slopes_PN, strict=True):
            total[source] += evidence.encoded.total(slope_N)
        end = stretch.at(1.0)
    return total, end
