"""May a student be released by itself? Each condition holds or says why not. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.evaluate.outcomes import OVERALL, STUDENT
from tasks.evaluate.scorecard import Scorecard
from tasks.handover import ReleaseConditions, Remedy, TeacherVerdict, Verdict
from tasks.statistics import Interval


@dataclass(frozen=True)
class Unmet:
    """A condition that does not hold."""

    code: str
    why: str


def unmet_verdicts(verdicts: Sequence[TeacherVerdict], waived: Collection[str]) -> Iterator[Unmet]:
    """Yield each teacher that the gate did not find to fit.

    Args:
        verdicts: Of the gate, of every teacher.
        waived: Names of teachers of which a finding was waived.
    """
    for each in verdicts:
        remedied = each.done in {Remedy.WARM_UP, Remedy.DROP}
        if each.verdict is Verdict.FITS or remedied or each.name in waived:
            continue
        yield Unmet(
            "verdict",
            f"the gate's verdict on {each.name} is {each.verdict!s}, and nobody waived it",
        )


def unmet_scores(
    card: Scorecard, own: Collection[str], conditions: ReleaseConditions
) -> Iterator[Unmet]:
    """Yield each domain, and the mean over them, in which the student has too little of the gain.

    Args:
        card: Of the consolidation.
        own: Domains that the student itself teaches, where there is no gain to take.
        conditions: The least shares.
    """
    for name, scores in card.everything().items():
        if name in own:
            continue
        least = (
            conditions.release_least_overall
            if name == OVERALL
            else conditions.release_least_normalised
        )
        found = scores.normalised.get(STUDENT)
        if found is None or found.mean is None:
            why = found.reason if found else "the fork point was not measured"
            yield Unmet("score", f"{name} has no normalised score: {why}")
        elif found.mean < least:
            yield Unmet(
                "score", f"{name} has {found.mean:.2f} of the gain, and {least} is the least"
            )


def unmet_predecessor(
    before: str,
    differences: Mapping[str, Interval],
    missing: Collection[str],
    conditions: ReleaseConditions,
) -> Iterator[Unmet]:
    """Yield where the student is worse than the one released before, beyond the 95 % interval.

    Args:
        before: The version released before.
        differences: By domain and overall, this student minus that one on the same prompts.
        missing: Domains of that student that this one was not measured on.
        conditions: Whether these count.
    """
    for name, found in differences.items():
        if found.high < 0:
            yield Unmet(
                "predecessor",
                f"{name} is worse than {before} by {-found.mean:.2f} "
                f"({-found.high:.2f} to {-found.low:.2f})",
            )
    if missing and conditions.release_keep_domains:
        yield Unmet("predecessor", f"{before} also has the domains {sorted(missing)}")
