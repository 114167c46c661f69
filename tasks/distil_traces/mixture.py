"""Which answers of each source become demonstrations, in which form, and how many of each.

Pure: lists in, lists out, repeatable from the seed.
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.contracts.refusal import RefusedError
from tasks.distil_traces.settings import PromptForm, TraceBalance, TraceSettings, TraceSource
from tasks.rollout.environment import Demonstration, Message, Turn
from tasks.rollout.responses import ScoredResponse
from tasks.rollout.thoughts import without_thoughts

_STRIPPED_MODE = "off"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Trace:
    """An answer of a source, as it was given."""

    key: tuple[str, ...]
    """What tells its prompt from others."""
    demonstration: Demonstration
    sampler: str = ""
    num_tokens: int | None = None
    """Number of generated tokens; None if unknown."""
    response: ScoredResponse | None = None
    """The response with its scores; None for a demonstration."""


def trace_of_response(response: ScoredResponse) -> Trace:
    """Return a graded response as a trace."""
    prompt = response.prompt
    return Trace(
        key=(response.domain, prompt.id, prompt.mode),
        demonstration=Demonstration(prompt.messages, response.turns, prompt.mode),
        sampler=response.sampler,
        num_tokens=response.num_tokens,
        response=response,
    )


def trace_of_demonstration(demonstration: Demonstration) -> Trace:
    """Return a demonstration, such as an answer of a closed model, as a trace."""
    said = (" ".join((m.role, m.content, *m.images)) for m in demonstration.messages)
    return Trace(key=(demonstration.mode, *said), demonstration=demonstration)


@dataclass(frozen=True)
class TraceMixture:
    """The demonstrations of all sources, and the counts by source."""

    traces: list[Trace]
    counts: dict[str, dict[str, int]]
    """Number of answers by source: given, accepted, selected; and the tokens of the selected."""

    @property
    def rows(self) -> list[Demonstration]:
        """The demonstrations, source by source."""
        return [trace.demonstration for trace in self.traces]


def mix(given: Sequence[Sequence[Trace]], settings: TraceSettings, seed: int) -> TraceMixture:
    """Return the demonstrations of the sources' traces, which are given in the same order.

    Raises:
        RefusedError: ``ungraded`` or ``unknown-scorer`` for answers without the score that a source
            accepts by, ``no-traces`` for a source without an accepted answer, ``no-token-counts``,
            ``too-few-traces`` for a total that a source cannot reach.
    """
    accepted = [
        _accepted(traces, source, random.Random(f"{seed} {source.name}"))
        for traces, source in zip(given, settings.sources, strict=True)
    ]
    match settings.balance:
        case TraceBalance.UNWEIGHTED:
            chosen = accepted
        case TraceBalance.SAMPLES:
            chosen = _by_samples(accepted, settings)
        case TraceBalance.TOKENS:
            chosen = _by_tokens(accepted, settings)
    counts = {
        source.name: {
            "given": len(traces),
            "accepted": len(kept),
            "selected": len(taken),
            "tokens": sum(trace.num_tokens or 0 for trace in taken),
        }
        for source, traces, kept, taken in zip(
            settings.sources, given, accepted, chosen, strict=True
        )
    }
    return TraceMixture([trace for taken in chosen for trace in taken], counts)


def _accepted(traces: Sequence[Trace], source: TraceSource, rng: random.Random) -> list[Trace]:
    """Return a source's answers in the order in which a budget takes them.

    A first answer to every prompt comes before a second one to any.
    """
    pools: dict[tuple[str, ...], list[Trace]] = {}
    for trace in traces:
        if _is_accepted(trace, source):
            formed = _formed(trace, source)
            if formed is not None:
                pools.setdefault(trace.key, []).append(formed)
    if not pools:
        raise RefusedError(
            "no-traces",
            f"source {source.name!r} accepts none of {len(traces)} answers: lower its least score, "
            "sample more answers, or correct its domain, mode and samplers",
        )
    prompts = list(pools)
    rng.shuffle(prompts)
    prompts = prompts[: source.num_prompts or len(prompts)]
    drawn = [
        rng.sample(pools[key], min(source.samples_per_prompt, len(pools[key]))) for key in prompts
    ]
    return [
        pool[place]
        for place in range(source.samples_per_prompt)
        for pool in drawn
        if place < len(pool)
    ]


def _is_accepted(trace: Trace, source: TraceSource) -> bool:
    if source.mode not in (None, trace.demonstration.mode):
        return False
    if trace.response is not None:
        return _is_of_source(trace.response, source) and _is_good(trace.response, source)
    if source.least_score is not None or source.samplers or source.domain:
        raise RefusedError(
            "ungraded",
            f"source {source.name!r} holds demonstrations, which have neither score nor domain nor "
            "sampler, but it selects by one: set least_score to none and leave out domain and "
            "samplers, or give responses",
        )
    return True


def _is_of_source(response: ScoredResponse, source: TraceSource) -> bool:
    return (
        source.domain in ("", response.domain)
        and (not source.samplers or response.sampler in source.samplers)
        and (source.keep_truncated or not response.truncated)
    )


def _is_good(response: ScoredResponse, source: TraceSource) -> bool:
    if source.least_score is None:
        return True
    if source.scorer not in response.scores:
        raise RefusedError(
            "unknown-scorer",
            f"an answer of source {source.name!r} has no score by {source.scorer!r}, only by "
            f"{sorted(response.scores)}: score all answers with it, or name another scorer",
        )
    return response.scores[source.scorer] >= source.least_score


def _formed(trace: Trace, source: TraceSource) -> Trace | None:
    """Return a trace in the source's form; None if no answer is left without its thoughts."""
    given = trace.demonstration
    messages, turns, mode, num_tokens = given.messages, given.turns, given.mode, trace.num_tokens
    if source.form is not PromptForm.SAMPLED:
        messages = tuple(message for message in messages if message.role != "system")
    if source.form is PromptForm.SYSTEM:
        messages = (Message("system", source.system), *messages)
    if source.strip_thoughts:
        turns, mode = tuple(_stripped(given.turns)), _STRIPPED_MODE
        if not turns[-1].content:
            return None
        if num_tokens is not None:  # in proportion, because the sampler's tokenizer is not here
            num_tokens = round(num_tokens * _size(turns) / _size(given.turns))
    return replace(trace, demonstration=Demonstration(messages, turns, mode), num_tokens=num_tokens)


def _size(turns: Sequence[Turn]) -> int:
    return sum(len(turn.content) for turn in turns if turn.role == "assistant")


def _stripped(turns: Sequence[Turn]) -> Iterator[Turn]:
    for turn in turns:
        is_own = turn.role == "assistant"
        yield Turn(turn.role, without_thoughts(turn.content)) if is_own else turn


def shares_of(settings: TraceSettings) -> list[float]:
    """Return the shares of the sources, which sum to 1."""
    whole = sum(source.weight for source in settings.sources)
    return [source.weight / whole for source in settings.sources]


def _by_samples(accepted: Sequence[Sequence[Trace]], settings: TraceSettings) -> list[list[Trace]]:
    """Return as many traces of each source as its share says."""
    shares, sizes = shares_of(settings), [len(traces) for traces in accepted]
    most = min(size / share for size, share in zip(sizes, shares, strict=True))
    if settings.total:
        wanted = apportioned(settings.total, shares)
        _refuse_short(sizes, wanted, settings)
    else:
        wanted = [math.floor(most * share + _ROUNDING) for share in shares]
    return [list(traces[:count]) for traces, count in zip(accepted, wanted, strict=True)]


def _by_tokens(accepted: Sequence[Sequence[Trace]], settings: TraceSettings) -> list[list[Trace]]:
    """Return of each source the first traces that fit into its share of the tokens."""
    shares, lengths = shares_of(settings), [_lengths(each, settings) for each in accepted]
    sums = [sum(each) for each in lengths]
    most = min(tokens / share for tokens, share in zip(sums, shares, strict=True))
    wanted = [(settings.total or most) * share for share in shares]
    if settings.total:
        _refuse_short(sums, [math.floor(each) for each in wanted], settings)
    chosen = []
    for traces, own, room in zip(accepted, lengths, wanted, strict=True):
        ends = itertools.accumulate(own)
        count = sum(end <= room + _ROUNDING for end in ends)
        chosen.append(list(traces[: max(1, count)]))
    return chosen


def _lengths(traces: Sequence[Trace], settings: TraceSettings) -> list[int]:
    lengths = [trace.num_tokens for trace in traces if trace.num_tokens is not None]
    if len(lengths) < len(traces):
        raise RefusedError(
            "no-token-counts",
            f"{len(traces) - len(lengths)} answers have no count of tokens, so they cannot be "
            f"balanced by {settings.balance.value}: balance by samples, or give responses instead "
            "of demonstrations",
        )
    return lengths


def _refuse_short(available: Sequence[int], wanted: Sequence[int], settings: TraceSettings) -> None:
    short = [
        f"{source.name} has {there} of {needed}"
        for source, there, needed in zip(settings.sources, available, wanted, strict=True)
        if there < needed
    ]
    if short:
        raise RefusedError(
            "too-few-traces",
            f"a total of {settings.total} {settings.balance.value} needs more than the sources "
            f"accept: {', '.join(short)}. Lower the total, or sample more answers of these",
        )


def apportioned(total: int, shares: Sequence[float]) -> list[int]:
    """Return whole numbers in the proportion of ``shares`` that sum to ``total``.

    The largest remainders get what rounding down leaves.
    """
    exact = [total * share for share in shares]
    counts = [math.floor(each + _ROUNDING) for each in exact]
    order = sorted(range(len(shares)), key=lambda place: counts[place] - exact[place])
    for place in order[: total - sum(counts)]:
        counts[place] += 1
    return counts
