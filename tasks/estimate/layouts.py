"""Whether a round fits a flavor, and the nearest layout that does.

A layout is what can be changed without another student or other teachers: activation checkpointing,
the size of a microbatch, the number of ranks, the flavor, a ledger without displacements, adapters.
The nearest one changes least. What costs only time counts little, what needs more machines counts
more, and what makes an audit approximate, or trains fewer weights, counts most.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from tasks.contracts.refusal import RefusedError
from tasks.estimate.host import host_phases, shared_bytes
from tasks.estimate.memory import Phase, peak
from tasks.estimate.work import RankWork
from tasks.model.settings import AdapterSettings, Precision
from tasks.platform.gpus import GPUS, RESERVED
from tasks.platform.resources import Flavor, Stage, flavor_names, in_bytes, load_flavor

MOST_RANKS = 512
_GIB = 1 << 30
_ADAPTER_RANK = 16


@dataclass(frozen=True)
class MemoryLimits:
    """What a rank and its node have."""

    name: str
    device: int
    """Bytes for the tensors of one rank."""
    host: int
    """Bytes of a node's host."""
    shared: int | None = None
    """Bytes of a node's file system in memory; None where that is not known."""


@dataclass(frozen=True)
class Fit:
    """A round beside what it has; ``missing`` names what is too small."""

    work: RankWork
    limits: MemoryLimits

    @property
    def peak(self) -> Phase:
        """The largest phase of a step on a rank."""
        return peak(self.work)

    @property
    def host(self) -> Phase:
        """The largest moment of the first node's host."""
        return max(host_phases(self.work), key=lambda phase: phase.total)

    @property
    def summary(self) -> str:
        """Say what a rank takes at its peak, in words."""
        phase, ranks = self.peak, self.work.num_ranks
        each = f" on each of {ranks} ranks" if ranks > 1 else ""
        return (
            f"{in_gib(phase.total)}{each} at the peak ({phase.name}: {_largest(phase)}), of "
            f"{in_gib(self.limits.device)}"
        )

    @property
    def missing(self) -> list[str]:
        """Say what does not fit, in words."""
        found = []
        if (device := self.peak).total > self.limits.device:
            found.append(
                f"{in_gib(device.total)} on each of {self.work.num_ranks} ranks "
                f"({device.name}: {_largest(device)}), which have {in_gib(self.limits.device)}"
            )
        if self.work.on_gpu and (host := self.host).total > self.limits.host:
            found.append(
                f"{in_gib(host.total)} of a node's memory ({host.name}), which has "
                f"{in_gib(self.limits.host)}"
            )
        shared = shared_bytes(self.work)
        if self.limits.shared is not None and shared > self.limits.shared:
            found.append(
                f"{in_gib(shared)} of shared memory (two copies of the weights for the servers; a "
                f"weights_folder on a disk takes none), which has {in_gib(self.limits.shared)}"
            )
        return found


@dataclass(frozen=True)
class Change:
    """One thing that could be otherwise."""

    cost: int = 0
    words: str = ""
    """The change as the launch form, the command line or a flavor's file takes it."""
    num_ranks: int = 0
    """Number of ranks; 0 for those of before."""
    limits: MemoryLimits | None = None
    loop: Mapping[str, object] = field(default_factory=dict)
    """Settings of the loop."""
    ledger: Mapping[str, object] = field(default_factory=dict)
    """Settings of the ledger."""
    load: Mapping[str, object] = field(default_factory=dict)
    """Other parts of the workload."""

    def of(self, fit: Fit) -> Fit:
        """Return a round with this change."""
        work = fit.work
        load = work.load.model_copy(
            update={
                **self.load,
                "loop": work.load.loop.model_copy(update=dict(self.loop)),
                "ledger": work.load.ledger.model_copy(update=dict(self.ledger)),
            }
        )
        ranks = self.num_ranks or work.num_ranks
        return Fit(replace(work, load=load, num_ranks=ranks), self.limits or fit.limits)


@dataclass(frozen=True)
class Layout:
    """A round with some changes."""

    changes: tuple[Change, ...]
    fit: Fit

    @property
    def cost(self) -> int:
        """How far it is from what was asked for."""
        return sum(change.cost for change in self.changes)

    @property
    def words(self) -> str:
        """Its changes, in words."""
        return ", ".join(change.words for change in self.changes if change.words)


def limits_of(flavor: Flavor, of: Stage = Stage.MOPD_ROUND) -> MemoryLimits:
    """Return what a flavor gives a rank of a stage."""
    stage = flavor.stages[of]
    host = in_bytes(stage.memory)
    gpu = GPUS.get(flavor.gpu) if stage.gpus else None
    shared = in_bytes(stage.shared_memory) if stage.shared_memory else None
    return MemoryLimits(flavor.name, gpu.memory - RESERVED if gpu else host, host, shared)


def refuse_too_large(fit: Fit, flavor: Flavor | None) -> None:
    """Refuse a round that does not fit, naming the nearest layout that does.

    Raises:
        RefusedError: it needs more than a rank or its node has.
    """
    missing = fit.missing
    if not missing:
        return
    found = nearest(fit, flavor)
    advice = (
        f"the nearest layout that fits: {found.words} ({in_gib(found.fit.peak.total)} a rank)"
        if found
        else f"no layout of up to {MOST_RANKS} ranks fits: use smaller models"
    )
    raise RefusedError(
        "memory-too-small",
        f"the round of a student of {fit.work.student.total / 1e9:.2f} B parameters and "
        f"{len(fit.work.teachers)} teachers needs {'; and '.join(missing)} under "
        f"{fit.limits.name}: {advice}. These are estimates: `provost estimate` prints them",
    )


def nearest(fit: Fit, flavor: Flavor | None) -> Layout | None:
    """Return the layout that fits with the least change; None where none does."""
    found = [layout for layout in layouts(fit, flavor) if not layout.fit.missing]
    return min(found, key=lambda layout: (layout.cost, layout.fit.work.num_ranks), default=None)


def layouts(fit: Fit, flavor: Flavor | None) -> Iterator[Layout]:
    """Yield what could be run instead; the first is what was asked for."""
    options = (
        _flavors(flavor),
        _ranks(fit.work),
        _placements(fit.work),
        _ledgers(fit.work),
        _adapters(fit.work),
        _precisions(fit.work),
        _checkpointing(fit.work),
        _microbatches(fit.work),
    )
    for changes in product(*options):
        changed = fit
        for change in changes:
            changed = change.of(changed)
        yield Layout(changes, changed)


_AS_IT_IS = Change()


def _flavors(flavor: Flavor | None) -> list[Change]:
    """Return the flavors with larger GPUs."""
    if flavor is None or flavor.gpu not in GPUS:
        return [_AS_IT_IS]
    own = GPUS[flavor.gpu].memory
    others = [load_flavor(name) for name in flavor_names() if name != flavor.name]
    larger = [each for each in others if each.gpu in GPUS and GPUS[each.gpu].memory > own]
    return [
        _AS_IT_IS,
        *(Change(5, f"--flavor {each.name}", limits=limits_of(each)) for each in larger),
    ]


def _ranks(work: RankWork) -> list[Change]:
    """Return more ranks, each time twice as many."""
    more, ranks = [_AS_IT_IS], 2 * work.num_ranks
    while work.on_gpu and ranks <= MOST_RANKS:
        more.append(Change(2 * len(more), _as_flavor(ranks, work), num_ranks=ranks))
        ranks *= 2
    return more


def _as_flavor(ranks: int, work: RankWork) -> str:
    """Say how a launch gets so many ranks: by its flavor, which gives a round GPUs and nodes."""
    gpus = min(work.ranks_per_node, ranks)
    return f"{ranks} ranks (a flavor with gpus = {gpus}, nodes = {-(-ranks // gpus)} in mopd_round)"


def _placements(work: RankWork) -> list[Change]:
    if not work.on_gpu or work.load.teachers_sharded:
        return [_AS_IT_IS]
    load = {"teachers_sharded": True, "teachers_on_device": False, "teachers_in_host_memory": False}
    return [_AS_IT_IS, Change(1, "placement=sharded", load=load)]


def _ledgers(work: RankWork) -> list[Change]:
    if not work.load.ledger.displacements:
        return [_AS_IT_IS]
    return [_AS_IT_IS, Change(7, "ledger_displacements=false", ledger={"displacements": False})]


def _adapters(work: RankWork) -> list[Change]:
    if work.load.loop.adapter is not None or not work.student.adapted:
        return [_AS_IT_IS]
    adapter = AdapterSettings(rank=_ADAPTER_RANK, alpha=2 * _ADAPTER_RANK)
    words = f"student_adapter_rank={_ADAPTER_RANK}"
    return [_AS_IT_IS, Change(11, words, loop={"adapter": adapter})]


def _precisions(work: RankWork) -> list[Change]:
    if not work.on_gpu or work.load.loop.precision is Precision.BF16:
        return [_AS_IT_IS]
    return [_AS_IT_IS, Change(2, "student_precision=bf16", loop={"precision": Precision.BF16})]


def _checkpointing(work: RankWork) -> list[Change]:
    if work.load.loop.activation_checkpointing:
        return [_AS_IT_IS]
    words = "loop.activation_checkpointing=true"
    return [_AS_IT_IS, Change(1, words, loop={"activation_checkpointing": True})]


def _microbatches(work: RankWork) -> list[Change]:
    """Return smaller microbatches, each time of half the rows, down to one row."""
    smaller, rows = [_AS_IT_IS], work.rows // 2
    while rows:
        tokens = rows * work.row
        words = f"loop.microbatch_tokens={tokens}"
        smaller.append(Change(len(smaller), words, loop={"microbatch_tokens": tokens}))
        rows //= 2
    return smaller


def _largest(phase: Phase) -> str:
    """Return the three largest parts of a phase, in words."""
    parts = sorted(phase.parts.items(), key=lambda part: -part[1])[:3]
    return ", ".join(f"{name} {in_gib(size)}" for name, size in parts)


def in_gib(size: int) -> str:
    """Return bytes in GiB, in words."""
    return f"{size / _GIB:,.2f} GiB"
