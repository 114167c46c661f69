"""Proof that every configured feature ran.

Each feature reports whether it was evaluated and how strongly it acted, each step. A published
release ships a reward refresh that can never fire, and nothing in it notices. Here a feature that
is not evaluated by the second step is an error that names it; so is one that must bind and does
nothing. One that may find nothing to do (a mask on an exactly on-policy run) is reported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from torch import Tensor

from tasks.onpolicy.step_metrics import DeviceSums
from tasks.ranks import sum_over_ranks

PATIENCE = 2
"""Steps by which every feature must have been evaluated."""


class FeatureCheckError(RuntimeError):
    """A configured feature that did not do its work."""


@dataclass(frozen=True)
class FeatureCheck:
    """A feature that the settings ask for, and what is expected of it."""

    name: str
    must_bind: bool
    """Whether it must change something: a weighting, a reward refresh, the correction of a top-k
    KL. Without it the feature must be evaluated and may find nothing to do: a mask, a clip."""
    where: str
    """The place in the code that should have evaluated it, for the error."""
    remedy: str
    """What to do about it, for the error."""


class FeatureChecks:
    """The features of one run, and how strongly each has acted."""

    def __init__(self, configured: Iterable[FeatureCheck]) -> None:
        """Take a check for each feature that the settings ask for."""
        self._configured = {feature.name: feature for feature in configured}
        self._evaluated = dict.fromkeys(self._configured, 0)
        self._magnitude = dict.fromkeys(self._configured, 0.0)
        self._sums = DeviceSums()

    @property
    def names(self) -> list[str]:
        """The configured features."""
        return list(self._configured)

    def record(self, name: str, magnitude: Tensor | float) -> None:
        """Count an evaluation of a feature and how strongly it acted: 0 for not at all.

        A tensor (a scalar) is not read before the step ends.

        Raises:
            FeatureCheckError: for one that is not configured.
        """
        if name not in self._configured:
            raise FeatureCheckError(
                f"the feature {name!r} was evaluated but is not configured (configured: "
                f"{self.names}), so it changes the run without a setting: report this as a fault"
            )
        self._sums.add(name, magnitude)

    def end_step(self, step: int) -> dict[str, float]:
        """Return the metrics of all ranks, ``mechanism/<name>/evaluated`` and ``/bound``.

        Collective.

        Raises:
            FeatureCheckError: by the second step, for a feature that was not evaluated, or must
                bind and never did.
        """
        none = dict.fromkeys(self.names, 0.0)
        counts = sum_over_ranks(none | self._sums.counts())
        sums = sum_over_ranks(none | self._sums.totals())
        self._sums.clear()
        metrics: dict[str, float] = {}
        for name in self.names:
            mean = sums[name] / counts[name] if counts[name] else 0.0
            self._evaluated[name] += int(counts[name])
            self._magnitude[name] += abs(mean)
            metrics[f"mechanism/{name}/evaluated"] = counts[name]
            metrics[f"mechanism/{name}/bound"] = mean
        if step >= PATIENCE:
            for feature in self._configured.values():
                self._judge(feature, step)
        return metrics

    def state(self) -> dict[str, JsonValue]:
        """Return evaluations and magnitude of each feature so far."""
        return {name: [self._evaluated[name], self._magnitude[name]] for name in self._configured}

    def load_state(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from a ``state``."""
        for name, value in state.items():
            assert isinstance(value, list)
            count, magnitude = value
            self._evaluated[name], self._magnitude[name] = int(str(count)), float(str(magnitude))

    def _judge(self, feature: FeatureCheck, step: int) -> None:
        name = feature.name
        if not self._evaluated[name]:
            raise FeatureCheckError(
                f"the feature {name!r} is configured and was not evaluated once in {step} steps; "
                f"{feature.where} should have done it, so the run is not the one that its "
                f"settings describe. {feature.remedy}"
            )
        if feature.must_bind and self._magnitude[name] == 0.0:
            raise FeatureCheckError(
                f"the feature {name!r} was evaluated {self._evaluated[name]} times in {step} "
                "steps and never changed anything, although it must: either its setting means "
                f"nothing here, or it does not reach the loss. {feature.remedy}"
            )
