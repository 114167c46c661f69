"""Monitor a run: abort it or warn, naming teacher and step, before it ruins the student."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from lineage.errors import CodedError
from tasks.onpolicy.settings import HealthSettings, Reaction
from tasks.rollout.collect import Rollout

_GRAM = 4
_RECENT = 10
"""Number of steps to which a teacher's KL is compared."""
_FEWEST = 3
"""Number of steps before the first comparison, because one step can be small by chance."""
_LEAST_GROWTH = 0.1
"""Growth in nats below which a KL has not jumped, whatever its ratio."""


class TrainingAbortedError(CodedError, RuntimeError):
    """The run was stopped because it would ruin the student."""


@dataclass(frozen=True)
class Alarm:
    """A fault of the run, and the reaction to it."""

    code: str
    reaction: Reaction
    message: str


class RunMonitor:
    """The alarms of one run."""

    def __init__(
        self, settings: HealthSettings, vocabulary_size: int, warn: Callable[[str], None]
    ) -> None:
        """Pass warnings to ``warn``, once per subject until its alarm ends."""
        self._settings, self._warn = settings, warn
        self._most_entropy = math.log(vocabulary_size)
        self._degenerate_steps: dict[str, int] = defaultdict(int)
        self._warned: set[str] = set()
        self._recent: dict[str, list[float]] = defaultdict(list)

    def check(
        self, step: int, rollouts: Sequence[Rollout], metrics: Mapping[str, float]
    ) -> dict[str, float]:
        """Return a step's repetition by domain, after checking for alarms.

        Args:
            step: Number of the step, for the message.
            rollouts: The step's rollouts.
            metrics: Metrics of the update: ``sampler_gap`` and ``stale_gap``, and
                ``from_uniform/<teacher>``, ``entropy/<teacher>``, ``unsteady/<teacher>``,
                ``kl/<teacher>``, if the objective reports them.

        Raises:
            TrainingAbortedError: for an alarm with the reaction stop.
        """
        repeated = repetition(rollouts)
        truncated = _truncated(rollouts)
        alarms = {
            **dict(self._of_sampler(step, metrics)),
            **dict(self._of_teachers(step, metrics)),
            **dict(self._of_jumps(step, metrics)),
            **dict(self._of_student(step, metrics)),
            **dict(self._of_rollouts(step, repeated, truncated, _without_room(rollouts))),
        }
        for subject, alarm in alarms.items():
            if alarm.reaction is Reaction.STOP:
                raise TrainingAbortedError(alarm.code, alarm.message)
            if subject not in self._warned:
                self._warn(alarm.message)
        self._warned = set(alarms)
        return {f"repetition/{domain}": share for domain, share in repeated.items()}

    def state(self) -> dict[str, JsonValue]:
        """Return the counts that later steps depend on."""
        return {
            "runaway": dict(self._degenerate_steps),
            "warned": list[JsonValue](sorted(self._warned)),
            "recent": {name: list[JsonValue](values) for name, values in self._recent.items()},
        }

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        runaway, warned, recent = state["runaway"], state["warned"], state.get("recent", {})
        assert isinstance(runaway, dict)
        assert isinstance(recent, dict)
        assert isinstance(warned, list)
        self._degenerate_steps = defaultdict(
            int, {name: int(str(n)) for name, n in runaway.items()}
        )
        self._warned = {str(subject) for subject in warned}
        self._recent = defaultdict(list)
        for name, values in recent.items():
            assert isinstance(values, list)
            self._recent[name] = [float(str(nats)) for nats in values]

    def _of_sampler(self, step: int, metrics: Mapping[str, float]) -> Iterator[tuple[str, Alarm]]:
        gap, most = metrics.get("sampler_gap", 0.0), self._settings.most_sampler_gap
        if not gap <= most:  # also for NaN
            yield (
                "sampler",
                Alarm(
                    "sampler-gap",
                    self._settings.sampler_gap,
                    f"step {step}: sampler and trainer disagree by {gap:.2g} nats a token on "
                    f"average, more than {most:g} (with sign: {metrics['sampler_bias']:+.2g}), so "
                    "the update would learn from text of another policy. Check that the server "
                    "received the last weights, serves in the trainer's precision, and samples at "
                    "the temperature of the settings; or sample with the transformers engine",
                ),
            )
        gap, most = metrics.get("stale_gap", 0.0), self._settings.most_stale_gap
        if not gap <= most:
            yield (
                "stale",
                Alarm(
                    "stale-gap",
                    self._settings.stale_gap,
                    f"step {step}: tokens that were sampled one update before have "
                    f"log-probabilities {gap:.2g} nats from the trainer's on average, more than "
                    f"{most:g} (with sign: {metrics['stale_bias']:+.2g}). Either the server errs, "
                    "or the update moved the policy that far. Run again with loop.staleness=0: if "
                    "sampler_gap is as large there, check the server's weights, precision and "
                    "temperature; if it is small, lower the learning rate",
                ),
            )

    def _of_jumps(self, step: int, metrics: Mapping[str, float]) -> Iterator[tuple[str, Alarm]]:
        for teacher, nats in _by_subject(metrics, "kl/"):
            recent = self._recent[teacher]
            before = max(recent, default=0.0)
            if (
                len(recent) >= _FEWEST
                and nats > self._settings.most_kl_growth * before
                and nats - before > _LEAST_GROWTH
            ):
                yield (
                    f"jump {teacher}",
                    Alarm(
                        "teacher-jump",
                        self._settings.teacher_jump,
                        f"step {step}: the KL to the teacher {teacher!r} jumped to {nats:.2g} "
                        f"nats; it was at most {before:.2g} in the last {len(recent)} steps. A "
                        "frozen teacher does not change: its weights may be damaged. Stop the run "
                        "and load the teacher anew; if it is whole, lower the learning rate",
                    ),
                )
            else:  # what has jumped is not the measure of later steps
                self._recent[teacher] = [*recent, nats][-_RECENT:]

    def _of_teachers(self, step: int, metrics: Mapping[str, float]) -> Iterator[tuple[str, Alarm]]:
        settings = self._settings
        for teacher, nats in _by_subject(metrics, "from_uniform/"):
            if not nats > settings.least_from_uniform:  # also for NaN
                yield (
                    f"uniform {teacher}",
                    Alarm(
                        "uniform-teacher",
                        settings.uniform_teacher,
                        f"step {step}: the teacher {teacher!r} is nearly uniform: its "
                        f"log-probabilities are {nats:.2g} nats from -ln V on average. Its "
                        "weights were lost or never loaded: load it alone and check its responses",
                    ),
                )
        for teacher, nats in _by_subject(metrics, "unsteady/"):
            if not nats <= settings.most_unsteady:
                yield (
                    f"unsteady {teacher}",
                    Alarm(
                        "unsteady-scorer",
                        settings.unsteady_scorer,
                        f"step {step}: the teacher {teacher!r} scored the same tokens twice and "
                        f"the answers differ by {nats:.2g} nats, more than "
                        f"{settings.most_unsteady:g}: the signal would be noise. Serve it from one "
                        "replica without dynamic batching, or load it locally; a teacher in this "
                        "process that differs has lost weights: start the run again",
                    ),
                )

    def _of_student(self, step: int, metrics: Mapping[str, float]) -> Iterator[tuple[str, Alarm]]:
        for teacher, entropy in _by_subject(metrics, "entropy/"):
            if not entropy / self._most_entropy < self._settings.collapse_share:
                yield (
                    f"collapse {teacher}",
                    Alarm(
                        "student-collapse",
                        self._settings.student_collapse,
                        f"step {step}: the student is nearly uniform on the rollouts of "
                        f"{teacher!r}: its entropy is {entropy:.2f} of at most "
                        f"{self._most_entropy:.2f} nats. Lower the learning rate, and check "
                        "whether that teacher fits (`provost gate`)",
                    ),
                )

    def _of_rollouts(
        self,
        step: int,
        repeated: Mapping[str, float],
        truncated: Mapping[str, float],
        without_room: Mapping[str, float],
    ) -> Iterator[tuple[str, Alarm]]:
        settings = self._settings
        for domain in repeated:
            is_degenerate = (
                repeated[domain] > settings.most_repeated
                or truncated[domain] > settings.most_truncated
            )
            self._degenerate_steps[domain] = (
                self._degenerate_steps[domain] + 1 if is_degenerate else 0
            )
            if self._degenerate_steps[domain] >= settings.runaway_steps:
                yield (
                    f"runaway {domain}",
                    Alarm(
                        "runaway",
                        settings.runaway,
                        f"step {step}: for {self._degenerate_steps[domain]} steps the student's "
                        f"rollouts on {domain!r} have degenerated: {truncated[domain]:.0%} are "
                        f"truncated and {repeated[domain]:.0%} of 4-grams repeat. "
                        f"{_advice(truncated[domain], without_room[domain])}",
                    ),
                )


def repetition(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Return by domain the share of a rollout's 4-grams that occurred in it before.

    It counts tokens instead of compressing text, so it has a unit, and a compressor's header does
    not make short answers look repetitive.
    """
    total: dict[str, int] = defaultdict(int)
    repeated: dict[str, int] = defaultdict(int)
    for rollout in rollouts:
        flags = zip(rollout.ids, rollout.is_response, strict=True)
        own = [token for token, written in flags if written]
        grams = [tuple(own[place : place + _GRAM]) for place in range(len(own) - _GRAM + 1)]
        total[rollout.domain] += len(grams)
        repeated[rollout.domain] += len(grams) - len(set(grams))
    return {domain: repeated[domain] / count if count else 0.0 for domain, count in total.items()}


def _advice(truncated: float, without_room: float) -> str:
    """Return what to do; ``without_room`` is the share that the model's positions cut."""
    if without_room > truncated / 2:
        return (
            "Most of them end where a further turn would exceed the model's positions: shorten "
            "prompts and tools' answers, lower max_new_tokens, or use a model with more positions"
        )
    return (
        "Raise max_new_tokens if correct answers are longer than that, else lower the learning rate"
    )


def _without_room(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Return by domain the share of rollouts that the model's positions cut."""
    counts: dict[str, list[bool]] = defaultdict(list)
    for rollout in rollouts:
        counts[rollout.domain].append(rollout.without_room)
    return {domain: sum(cut) / len(cut) for domain, cut in counts.items()}


def _truncated(rollouts: Sequence[Rollout]) -> dict[str, float]:
    counts: dict[str, list[bool]] = defaultdict(list)
    for rollout in rollouts:
        counts[rollout.domain].append(rollout.truncated)
    return {domain: sum(cut) / len(cut) for domain, cut in counts.items()}


def _by_subject(metrics: Mapping[str, float], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), value
