"""AdamW with every update split by source: exactly, and at little more than its own cost.

AdamW (1711.05101, algorithm 2) divides a first moment by the root of a second one. The first
moment is linear in the gradient; second moment, bias correction and clip factor are factors that
all share. So one first moment for each source, under the shared factors, splits each update:

    m[s] <- beta1 m[s] + (1 - beta1) c g[s]        sum over s of m[s] is AdamW's own m
    v    <- beta2 v + (1 - beta2) (c sum g[s])^2
    w    <- w - lr decay w - sum over s of lr m[s] / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

The clip factor c is known only after the last source's gradient, so each keeps its gradient until
then. Weights are fp32, or low-precision copies of fp32 masters that are kept here. The update is
added to a master once, not once per source. Its error is a part of its own, ``rounding``.

If parameters are sharded, each rank keeps and updates its own part of everything here; only norms
and cosines are summed over ranks.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.contracts.refusal import RefusedError
from tasks.ledger.rounding import rest_of_change
from tasks.ledger.source_gradients import (
    Cutter,
    Factors,
    GradientBlock,
    SourceBlock,
    UpdateReport,
    report_on,
)
from tasks.model.shards import as_part_of, local, part_like, refuse_mixed, to_fp32

DECAY = "decay"
ROUNDING = "rounding"
SAVING = "saving"
"""Name of the rounding of weights that were saved in less precision than they were trained in."""
UNREPLAYED = "unreplayed"
"""Name of the rest that a replay of kept rollouts does not explain; it belongs to no source."""
RESERVED = frozenset({DECAY, ROUNDING, SAVING, UNREPLAYED})


@dataclass(frozen=True)
class AdamWConstants:
    """AdamW's numbers; the learning rate comes with each step."""

    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    gradient_clip: float = math.inf
    """Maximum global norm of the summed gradient."""


@dataclass
class _Source:
    """A source's gradient of this update, its first moment, and its part of the segment."""

    gradient: list[Tensor]
    moment: list[Tensor]
    moved: list[Tensor]


class SplitAdamW:
    """AdamW over named parameters, with its updates split by source."""

    def __init__(
        self,
        named_parameters: Mapping[str, nn.Parameter],
        sources: Sequence[str],
        constants: AdamWConstants,
        *,
        record: bool,
        copies_in: torch.dtype | None = None,
    ) -> None:
        """Make the buffers; with ``record`` the parts of each source are summed for a ledger.

        With ``copies_in`` the model computes in that precision from now on, and the weights that
        it has now become the masters.

        Raises:
            ValueError: for no source, a source named twice, or a reserved name (``decay``,
                ``rounding``); if only some parameters are sharded.
        """
        if not sources or len(set(sources)) < len(sources) or RESERVED & set(sources):
            raise RefusedError(
                "ambiguous-names",
                f"sources {list(sources)} cannot be distinguished in a ledger: give each teacher "
                f"its own name, other than the reserved names {sorted(RESERVED)}",
            )
        self.names = list(named_parameters)
        self._parameters = list(named_parameters.values())
        self._constants, self._record = constants, record
        refuse_mixed(self._parameters)
        self._places = {parameter: place for place, parameter in enumerate(self._parameters)}
        # An fp32 parameter is its own master; any other is a copy of its master from now on.
        self._masters = [to_fp32(local(p.data)) for p in self._parameters]
        if copies_in is not None:
            for parameter in self._parameters:
                parameter.data = parameter.data.to(copies_in)
        self._is_copy = [m.dtype != p.dtype for m, p in self._pairs()]
        self._second = self._zeros()
        moved = self._zeros if record else list
        self._sources = {n: _Source(self._zeros(), self._zeros(), moved()) for n in sources}
        self._decayed: list[Tensor] = moved()
        self._start = [master.clone() for master in self._masters] if record else []
        self.num_updates = 0
        self._cutter = Cutter(self._masters)
        self._blocks = self._cut()

    @property
    def sources(self) -> list[str]:
        """The sources by name, in the order that they were given."""
        return list(self._sources)

    @contextmanager
    def gathering(self, source: str) -> Iterator[None]:
        """Take the gradients of the backward passes inside as this source's.

        They are summed in the masters' precision, also where the model computes in bf16.

        Raises:
            RuntimeError: if a parameter has a gradient already, which would belong to no source.
        """
        self._check_strays()
        yield
        buffers = self._sources[source].gradient
        for buffer, parameter in zip(buffers, self._parameters, strict=True):
            if parameter.grad is not None:
                buffer.add_(local(parameter.grad))
                parameter.grad = None

    def add(self, source: str, parameter: nn.Parameter, gradient: Tensor) -> None:
        """Add a gradient of this source's that is not left in the parameter by autograd.

        ``gradient`` is this rank's part where the parameter is sharded.
        """
        self._sources[source].gradient[self._places[parameter]].add_(gradient)

    def step(self, learning_rate: float) -> UpdateReport:
        """Update the weights from the gathered gradients, and forget these.

        Raises:
            FloatingPointError: if the gradient is not finite, naming the responsible sources; the
                weights are then unchanged.
        """
        self._check_strays()
        report = self._report()
        self.num_updates += 1
        constants, count = self._constants, self.num_updates
        beta1, beta2 = constants.betas
        factors = Factors(
            beta1=beta1,
            beta2=beta2,
            clip=report.clip_factor,
            size=learning_rate / (1 - beta1**count),
            root=math.sqrt(1 - beta2**count),
            eps=constants.eps,
            decay=learning_rate * constants.weight_decay,
        )
        for block in self._blocks:
            block.update(factors)
        self._copy_masters()
        return report

    def begin_segment(self) -> None:
        """Start to sum the parts of each source from here, in what ``segment`` returned.

        New ones beside them would take as much memory again.
        """
        torch._foreach_copy_(self._start, self._masters)
        for moved in (self._decayed, *(source.moved for source in self._sources.values())):
            torch._foreach_zero_(moved)

    def segment(self) -> dict[str, dict[str, Tensor]]:
        """Return what each source, decay and rounding added since the segment began.

        Part to parameter to its displacement, in the masters' precision and sharded as they are.
        They are the optimizer's own tensors, which ``begin_segment`` overwrites.
        """
        parts = {name: source.moved for name, source in self._sources.items()}
        parts[DECAY] = self._decayed
        moved = zip(self._start, self._masters, *parts.values(), strict=True)
        parts[ROUNDING] = [rest_of_change(start, end, own) for start, end, *own in moved]
        return {part: self._named(tensors) for part, tensors in parts.items()}

    def segment_start(self) -> dict[str, Tensor]:
        """Return the weights at the start of the segment by name, sharded; not copies."""
        return self._named(self._start)

    def masters(self) -> dict[str, Tensor]:
        """Return the weights in full precision by name, sharded as the model is; not copies."""
        return self._named(self._masters)

    @contextmanager
    def full_precision(self) -> Iterator[None]:
        """Let the model hold the masters themselves inside, so that what is saved is they."""
        copies = [parameter.data for parameter in self._parameters]
        for is_copy, (master, parameter) in zip(self._is_copy, self._pairs(), strict=True):
            if is_copy:
                parameter.data = as_part_of(master, parameter.data)
        try:
            yield
        finally:
            for parameter, copy in zip(self._parameters, copies, strict=True):
                parameter.data = copy

    def state(self) -> dict[str, Tensor]:
        """Return all that the next update depends on, flat, by name, sharded; not copies."""
        kept = {"masters": self._masters, "second": self._second}
        for name, source in self._sources.items():
            kept[f"moment/{name}"] = source.moment
            if self._record:
                kept[f"moved/{name}"] = source.moved
        if self._record:
            kept |= {"decayed": self._decayed, "start": self._start}
        flat = {
            f"{group}/{name}": tensor
            for group, tensors in kept.items()
            for name, tensor in self._named(tensors).items()
        }
        return flat | {"num_updates": torch.tensor(self.num_updates)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a ``state``, sharded or whole: bit by bit what would have come next.

        Raises:
            ValueError: if it is of other parameters, sources or settings.
        """
        own = self.state()
        if own.keys() != state.keys():
            other = sorted(own.keys() ^ state.keys())
            raise RefusedError(
                "other-run",
                f"the saved optimizer state belongs to another run: {other[:4]} ({len(other)} in "
                "all) are in only one of them; start this run without it",
            )
        for name, tensor in own.items():
            if name != "num_updates":
                local(tensor).copy_(part_like(state[name], tensor))
        self.num_updates = int(state["num_updates"])
        self._copy_masters()

    def _pairs(self) -> list[tuple[Tensor, nn.Parameter]]:
        return list(zip(self._masters, self._parameters, strict=True))

    def _named(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        whole = zip(self.names, tensors, self._parameters, strict=True)
        return {name: as_part_of(tensor, parameter.data) for name, tensor, parameter in whole}

    def _zeros(self) -> list[Tensor]:
        return [torch.zeros_like(master) for master in self._masters]

    def _check_strays(self) -> None:
        for name, parameter in zip(self.names, self._parameters, strict=True):
            if parameter.grad is not None:
                raise RuntimeError(
                    f"{name} has a gradient that no source gathered, so it would belong to no "
                    "source: run every backward pass inside SplitAdamW.gathering(source)"
                )

    def _cut(self) -> list[GradientBlock]:
        cut = self._cutter.cut
        sources = [
            [
                SourceBlock(*pieces)
                for pieces in zip(
                    cut(source.gradient), cut(source.moment), cut(source.moved), strict=True
                )
            ]
            for source in self._sources.values()
        ]
        return [
            GradientBlock(masters, second, decayed, dict(zip(self._sources, parts, strict=True)))
            for masters, second, decayed, *parts in zip(
                cut(self._masters), cut(self._second), cut(self._decayed), *sources, strict=True
            )
        ]

    def _report(self) -> UpdateReport:
        try:
            return report_on(self._blocks, self._constants.gradient_clip, self._parameters)
        except FloatingPointError as error:
            for source in self._sources.values():
                torch._foreach_zero_(source.gradient)
            place = f"the gradient of update {self.num_updates + 1} is {error}"
            raise FloatingPointError(
                f"{place}: a teacher or the student gives non-finite numbers; lower the learning "
                "rate, or check the last rollouts"
            ) from error

    @torch.no_grad()
    def _copy_masters(self) -> None:
        for is_copy, (master, parameter) in zip(self._is_copy, self._pairs(), strict=True):
            if is_copy:
                local(parameter.data).copy_(master)
