"""Proof that what was configured ran.

Every mechanism says each step whether it was evaluated, and how much it bound. A published release
ships a reward refresh that can never fire, and nothing in it notices. Here a mechanism that is
never evaluated by the second step is an error that names it; so is one that must act and does
nothing. One that may rest (a mask on an exactly on-policy run) is reported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from pydantic import JsonValue
from torch import Tensor

from tasks.onpolicy.device_sums import DeviceSums
from tasks.ranks import sum_over_ranks

PATIENCE = 2
"""Steps by which every mechanism must have been evaluated."""


class Duty(Enum):
    """What is expected of a mechanism once it is configured."""

    ACT = "act"
    """It must bind: a balance, a reward refresh, the correction of a truncated KL."""
    REST = "rest"
    """It must be evaluated and may find nothing to do: a mask, a clip."""


class MechanismError(RuntimeError):
    """A mechanism that was configured and did not do its work."""


@dataclass(frozen=True)
class Mechanism:
    """Something that the settings ask for."""

    name: str
    duty: Duty
    where: str
    """The place in the code that should have evaluated it, for the error."""
    remedy: str
    """What a user does who does not want it."""


class Mechanisms:
    """The mechanisms of one run, and what became of each."""

    def __init__(self, configured: Iterable[Mechanism]) -> None:
        """Take all that the settings ask for."""
        self._configured = {mechanism.name: mechanism for mechanism in configured}
        self._evaluated = dict.fromkeys(self._configured, 0)
        self._bound = dict.fromkeys(self._configured, 0.0)
        self._sums = DeviceSums()

    @property
    def names(self) -> list[str]:
        """What is configured."""
        return list(self._configured)

    def evaluated(self, name: str, bound: Tensor | float) -> None:
        """Count an evaluation of a mechanism and how much it bound: 0 for not at all.

        A tensor (a scalar) is not read before the step ends.

        Raises:
            MechanismError: for one that is not configured: something runs that nobody asked for.
        """
        if name not in self._configured:
            raise MechanismError(
                f"the mechanism {name!r} was evaluated but is not configured (configured: "
                f"{self.names}): it changes the run without standing in its settings"
            )
        self._sums.add(name, bound)

    def end_step(self, step: int) -> dict[str, float]:
        """Return the metrics of all ranks, ``mechanism/<name>/evaluated`` and ``/bound``.

        Collective.

        Raises:
            MechanismError: by the second step, for what was never evaluated, or must act and
                never did.
        """
        none = dict.fromkeys(self.names, 0.0)
        counts = sum_over_ranks(none | self._sums.counts())
        sums = sum_over_ranks(none | self._sums.totals())
        self._sums.clear()
        metrics: dict[str, float] = {}
        for name in self.names:
            mean = sums[name] / counts[name] if counts[name] else 0.0
            self._evaluated[name] += int(counts[name])
            self._bound[name] += abs(mean)
            metrics[f"mechanism/{name}/evaluated"] = counts[name]
            metrics[f"mechanism/{name}/bound"] = mean
        if step >= PATIENCE:
            for mechanism in self._configured.values():
                self._judge(mechanism, step)
        return metrics

    def state(self) -> dict[str, JsonValue]:
        """Return what became of each so far."""
        return {name: [self._evaluated[name], self._bound[name]] for name in self._configured}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        for name, value in state.items():
            assert isinstance(value, list)
            count, bound = value
            self._evaluated[name], self._bound[name] = int(str(count)), float(str(bound))

    def _judge(self, mechanism: Mechanism, step: int) -> None:
        name = mechanism.name
        if not self._evaluated[name]:
            raise MechanismError(
                f"the mechanism {name!r} is configured and was not evaluated once in {step} steps; "
                f"{mechanism.where} should have done it, so the run is not the one that its "
                f"settings describe. {mechanism.remedy}"
            )
        if mechanism.duty is Duty.ACT and self._bound[name] == 0.0:
            raise MechanismError(
                f"the mechanism {name!r} was evaluated {self._evaluated[name]} times in {step} "
                "steps and never changed anything, although it must: either its setting means "
                f"nothing here, or it does not reach the loss. {mechanism.remedy}"
            )
