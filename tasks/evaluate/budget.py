"""A report within its budget: what is too long is cut, step by step, and the page says so. Pure.

A report comes last, when everything is trained. Whatever a grader or a model said must not end it.
"""

from collections.abc import Iterator

from tasks.evaluate.report_input import ReportInput, SampleResponse, SampleRollout, Speech

MOST_REASON = 400
"""Characters of a grader's reason; it stands in one line beside the score."""
_STEPS = ((4_000, 40, 3), (1_000, 12, 3), (300, 6, 3), (300, 6, 1), (100, 2, 1))
"""The longest text, the most turns of a response, the most prompts of a domain."""


def reductions(report: ReportInput) -> Iterator[ReportInput]:
    """Yield the report with less and less in it; the last has neither rollouts nor drawings."""
    for characters, turns, prompts in _STEPS:
        rollouts = _some(report.rollouts, prompts)
        shorter = tuple(_cut_rollout(rollout, characters, turns) for rollout in rollouts)
        told: tuple[str, ...] = ()
        if len(shorter) < len(report.rollouts):
            told = (
                f"{len(report.rollouts) - len(shorter)} sample rollouts are left out for space.",
            )
        yield report.model_copy(update={"rollouts": shorter, "left_out": told})
    told = ("The sample rollouts are left out for space.",)
    bare = report.model_copy(update={"rollouts": (), "left_out": told})
    yield bare
    told = (*told, "So is the drawing of the lineage: provost lineage show --html FILE draws it.")
    bare = bare.model_copy(update={"lineage": "", "lineage_narrow": "", "left_out": told})
    yield bare
    yield bare.model_copy(update={"curves": (), "left_out": (*told, "So are the curves.")})


def cut(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, with how many were cut."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n… {len(text) - most:,} characters more"


def _some(rollouts: tuple[SampleRollout, ...], most: int) -> list[SampleRollout]:
    """Return the first rollouts of each domain."""
    kept: dict[str, list[SampleRollout]] = {}
    for rollout in rollouts:
        own = kept.setdefault(rollout.domain, [])
        if len(own) < most:
            own.append(rollout)
    return [rollout for own in kept.values() for rollout in own]


def _cut_rollout(rollout: SampleRollout, characters: int, turns: int) -> SampleRollout:
    return SampleRollout(
        domain=rollout.domain,
        messages=_cut_speeches(rollout.messages, characters, turns),
        responses={
            method: SampleResponse(
                turns=_cut_speeches(response.turns, characters, turns),
                score=response.score,
                reason=cut(response.reason, min(characters, MOST_REASON)),
            )
            for method, response in rollout.responses.items()
        },
    )


def _cut_speeches(speeches: tuple[Speech, ...], characters: int, turns: int) -> tuple[Speech, ...]:
    """Return the first turns, and the last one, which was graded."""
    kept = speeches
    if len(speeches) > turns:
        left = f"… {len(speeches) - turns} turns more"
        kept = (*speeches[: turns - 1], Speech(role="system", content=left), speeches[-1])
    return tuple(
        speech.model_copy(update={"content": cut(speech.content, characters)}) for speech in kept
    )
