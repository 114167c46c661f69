"""Proof that every configured feature ran.

Each step, each feature reports whether it was evaluated and how strongly it acted. A published
release ships a reward refresh that can never fire, without any notice. Here a feature that is not
evaluated by the second step is an error with its name; so is one that must act and does not. A
feature that may have nothing to do (a mask on an exactly on-policy run) is only reported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from torch import Tensor

from lineage.errors import CodedError
from tasks.onpolicy.step_metrics import DeviceSums
from tasks.platform.ranks import sum_over_ranks

PATIENCE = 2
"""Number of steps within which every feature must be evaluated."""


class FeatureCheckError(CodedError, RuntimeError):
    """A configured feature had no effect."""

    def __init__(self, code: str, message: str, feature: str = "") -> None:
        """Take the name of the feature beside code and message; a copy gets it later."""
        super().__init__(code, message)
        self.feature = feature


@dataclass(frozen=True)
class FeatureCheck:
    """A feature that the settings turn on, and its expected activity."""

    name: str
    must_bind: bool
    """Whether it must change something, such as a weighting, a reward refresh or the correction
    of a top-k KL. Otherwise it must be evaluated but may have nothing to do, such as a mask or a
    clip."""
    where: str
    """The place in the code that evaluates it, for the error."""
    remedy: str
    """The next step, for the error."""


class FeatureChecks:
    """The features of one run, and the activity of each."""

    def __init__(self, configured: Iterable[FeatureCheck]) -> None:
        """Take a check for each feature that the settings turn on."""
        self._configured = {feature.name: feature for feature in configured}
        self._evaluated = dict.fromkeys(self._configured, 0)
        self._magnitude = dict.fromkeys(self._configured, 0.0)
        self._sums = DeviceSums()

    @property
    def names(self) -> list[str]:
        """The configured features."""
        return list(self._configured)

    @property
    def idle(self) -> list[FeatureCheck]:
        """The configured features that have not acted so far."""
        return [one for name, one in self._configured.items() if self._magnitude[name] == 0.0]

    def record(self, name: str, magnitude: Tensor | float) -> None:
        """Count an evaluation of a feature and how strongly it acted: 0 for not at all.

        A tensor (a scalar) is not read before the step ends.

        Raises:
            FeatureCheckError: for a feature that is not configured.
        """
        if name not in self._configured:
            raise FeatureCheckError(
                "not-configured",
                f"the feature {name!r} was evaluated but is not configured (configured: "
                f"{self.names}), so it changes the run without a setting: report this as a bug",
                name,
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
        """Return the evaluations and the magnitude of each feature so far."""
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
                "not-evaluated",
                f"the feature {name!r} is configured but was not evaluated in {step} steps; "
                f"{feature.where} should evaluate it, so the run does not follow its settings. "
                f"{feature.remedy}",
                name,
            )
        if feature.must_bind and self._magnitude[name] == 0.0:
            raise FeatureCheckError(
                "no-effect",
                f"the feature {name!r} was evaluated {self._evaluated[name]} times in {step} "
                "steps and never changed anything, although it must: either its setting has no "
                f"effect here, or it does not reach the loss. {feature.remedy}",
                name,
            )
