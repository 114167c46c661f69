"""Resources of each stage, from ``infra/resources``, one file per flavor; threads of a process.

A flavor is a kind of cluster: type and number of GPUs, spot or not, time limits. It is chosen at
registration with ``PROVOST_FLAVOR``; the tasks carry the choice into their containers. Without a
flavor tasks request no resources, and the same workflow runs on the local machine. In a process,
torch gets the number of threads that the environment sets, and those that wait do not spin. What is
free on a disk is read here too.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from tomllib import TOMLDecodeError, loads
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import model_validator as validator

from images.names import ImageName
from lineage.errors import CodedError

FLAVOR = "PROVOST_FLAVOR"
LOCAL = "cpu"
"""Flavor that supplies time limits and retries when none is chosen."""
FOLDER = Path(__file__).resolve().parents[2] / "infra" / "resources"

Quantity = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$")]
"""A size as Kubernetes writes it, in binary units."""

_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_FLAVOR_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_THREADS_BEFORE: ContextVar[int] = ContextVar("threads_before", default=0)


class Stage(StrEnum):
    """What a task is, as far as machines are concerned."""

    PLAN = "plan"
    """Resolves names, reads records, checks settings."""
    COLLECT = "collect"
    """Makes a domain's data sets in a confined worker."""
    FOUNDATION = "foundation"
    """Fetches or makes the base."""
    SFT = "sft"
    CLIMB = "climb"
    """A team's RL."""
    GATE_PROBE = "gate_probe"
    """Measures teachers on the student's rollouts."""
    MOPD_ROUND = "mopd_round"
    MERGE = "merge"
    EVALUATION = "evaluation"
    AUDIT = "audit"
    RELEASE = "release"
    """Registers, releases, publishes, reports."""


SPREADS = frozenset({Stage.CLIMB, Stage.MOPD_ROUND})
"""The stages that can train on several ranks."""


class ResourceError(CodedError, ValueError):
    """A flavor does not exist or asks for what cannot be had."""


class StageResources(BaseModel):
    """What one pod of a stage takes, and how often and how long it may run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: ImageName
    cpu: int = Field(ge=1)
    """Cores of a pod."""
    memory: Quantity
    disk: Quantity
    """Local disk of the pod, for scratch files and files from the store."""
    shared_memory: Quantity | None = None
    """Size of the file system in memory, through which ranks and loaders exchange tensors."""
    gpus: int = Field(default=0, ge=0)
    """Number of GPUs, and ranks, per pod."""
    nodes: int = Field(default=1, ge=1)
    """Number of pods that train together."""
    spot: bool = False
    """Whether it may run on preemptible machines. The last attempt never does, if Flyte counts all
    attempts as one budget: ``node-config`` in ``infra/flyte/values.yaml``."""
    retries: int = Field(default=0, ge=0, le=10)
    """Further attempts after transient faults: storage, network, a preempted machine."""
    time_limit_minutes: int = Field(ge=1)
    """Time limit of one attempt in minutes. Flyte counts from the creation of the pod, including
    the wait for a machine, and ends the step after twice the limit over all attempts."""
    pod_template: str
    """A template of ``infra/flyte/pod-templates.yaml``: the pod's user and its mounts."""

    @property
    def num_ranks(self) -> int:
        """Return how many processes train together; a CPU stage is one."""
        return self.nodes * max(self.gpus, 1)

    @validator(mode="after")
    def _is_possible(self) -> Self:
        if self.spot and not self.retries:
            raise ResourceError(
                "spot-without-retries",
                "a spot machine without retries would lose the run when it is preempted: set "
                "retries above 0",
            )
        if self.nodes > 1 and not self.gpus:
            raise ResourceError(
                "nodes-without-gpus",
                "several nodes without GPUs train nothing: set gpus, or nodes = 1",
            )
        if self.gpus and self.image is ImageName.CPU:
            raise ResourceError(
                "gpus-of-cpu-image", 'the image "cpu" cannot use a GPU: set image = "train"'
            )
        return self


class Flavor(BaseModel):
    """A kind of cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    gpu: str = ""
    """The value of the nodes' accelerator label, such as nvidia-h200; empty without GPUs."""
    stages: dict[Stage, StageResources]

    @validator(mode="after")
    def _is_complete(self) -> Self:
        missing = [stage.value for stage in Stage if stage not in self.stages]
        if missing:
            raise ResourceError(
                "missing-stages",
                f"the stages {', '.join(missing)} are missing: each stage needs its table",
            )
        for stage, wanted in self.stages.items():
            if wanted.gpus and not self.gpu:
                raise ResourceError(
                    "no-gpu-kind", f"{stage} needs GPUs, but the flavor has no gpu: set gpu"
                )
            if wanted.num_ranks > 1 and stage not in SPREADS:
                raise ResourceError(
                    "idle-ranks",
                    f"{stage} runs in one process but has {wanted.num_ranks} ranks, and the "
                    f"others would idle: set one rank. Only {', '.join(sorted(SPREADS))} can use "
                    "several",
                )
        return self


def in_bytes(quantity: Quantity) -> int:
    """Return a size in bytes."""
    return int(quantity[:-2]) * _UNITS[quantity[-2:]]


def chosen_flavor() -> Flavor | None:
    """Return the flavor that $PROVOST_FLAVOR names, or None if it is not set.

    Raises:
        ResourceError: the flavor does not exist, or its file is invalid.
    """
    name = os.environ.get(FLAVOR, "")
    return load_flavor(name) if name else None


def local_limits(stage: Stage) -> StageResources:
    """Return what holds for a stage on this machine: the chosen flavor's, else the CPU's.

    Local execution knows neither time limits nor retries, so they are taken from here.
    """
    return (chosen_flavor() or load_flavor(LOCAL)).stages[stage]


@lru_cache
def load_flavor(name: str, folder: Path = FOLDER) -> Flavor:
    """Return a flavor by its name.

    Raises:
        ResourceError: the flavor does not exist, or its file is invalid.
    """
    if not _FLAVOR_NAME.fullmatch(name) or name not in flavor_names(folder):
        raise ResourceError(
            "unknown-flavor",
            f"unknown flavor {name!r}: choose one of {', '.join(flavor_names(folder))}, or "
            f"write {folder.name}/{name}.toml",
        )
    file = folder / f"{name}.toml"
    try:
        return Flavor.model_validate({"name": name, **loads(file.read_text(encoding="utf-8"))})
    except (ValidationError, TOMLDecodeError) as error:
        raise ResourceError(
            "invalid-flavor", f"{folder.name}/{file.name} is not valid: {error}"
        ) from error


def flavor_names(folder: Path = FOLDER) -> list[str]:
    """Return the names of the flavors there are."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def require_gpus(stage: Stage) -> None:
    """Raise ResourceError where the flavor gives the stage GPUs and the machine shows fewer."""
    flavor = chosen_flavor()
    wanted = flavor.stages[stage].gpus if flavor else 0
    if not wanted:
        return
    import torch  # noqa: PLC0415 - takes seconds, and only a stage with GPUs needs it

    found = torch.cuda.device_count()
    if found < wanted:
        raise ResourceError(
            "too-few-gpus",
            f"{stage} needs {wanted} GPUs under the flavor {flavor and flavor.name} but this "
            f"machine has {found}: check the image's CUDA, the node's driver and the pod's "
            f"limits, or choose another {FLAVOR}",
        )


WAIT_POLICY = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait give their core away. By default they spin, and beside one busy process two
threads keep a small part of their speed."""


def wait_without_spinning() -> None:
    """Set the wait policy, unless the user has; libgomp reads it once, when torch loads."""
    for name, value in WAIT_POLICY.items():
        os.environ.setdefault(name, value)


def configured_threads() -> int | None:
    """Return $PROVOST_THREADS; None where it is not set."""
    return int(os.environ.get("PROVOST_THREADS") or 0) or None


def use_configured_threads() -> None:
    """Set torch to $PROVOST_THREADS threads, or to 1; to those of a run that is made again.

    Teams climb side by side as processes: two torch processes with two threads each on two cores
    were 1.2 to 17 times slower than with one. ``provost demo`` gives a stage that runs alone the
    free cores.
    """
    import torch  # noqa: PLC0415 - only where a step is about to compute

    torch.set_num_threads(_THREADS_BEFORE.get() or configured_threads() or 1)


def threads_in_use() -> int:
    """Return how many threads torch uses; 0 where nothing has imported it."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else 0


@contextmanager
def as_many_threads(before: int) -> Iterator[None]:
    """Let what is computed within use as many threads as a run before; 0 for any number.

    Sums of floats depend on how they are split: with another number of threads a lost output comes
    out with other bits, and the record says that it gave two different things.
    """
    token = _THREADS_BEFORE.set(before)
    try:
        yield
    finally:
        _THREADS_BEFORE.reset(token)


def free_storage(folder: Path) -> int:
    """Return the free bytes of the disk where a folder is, or will be."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
