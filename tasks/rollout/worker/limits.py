"""What a bundle may use, what it runs without, and the refusal where a machine cannot hold that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class WorkerLimits:
    """What a bundle may use. Sizes are in bytes and hold for each of its processes."""

    call_seconds: float = 60.0
    """Wall-clock time for each episode of a call, or for a call without any."""
    start_seconds: float = 60.0
    """Wall-clock time for loading the bundle. Its packages are compiled at each start."""
    memory_bytes: int = 2 * 1024**3
    """Address space of each process, and memory of all of them together."""
    cpu_seconds: int = 24 * 3600
    """CPU time over the life of the process, a backstop for the time limit of each call."""
    file_bytes: int = 16 * 1024**2
    scratch_bytes: int = 64 * 1024**2
    """Maximum size of all files together. The supervisor measures it ten times a second, so files
    can briefly exceed it."""
    open_files: int = 64
    processes: int = 64
    """Maximum number of processes and threads together; the supervisor decides on each. The
    kernel's own limit applies too where user namespaces are allowed; elsewhere it would count the
    user's other programs."""
    message_bytes: int = 64 * 1024**2
    """Maximum bytes of the answer to one call."""
    output_bytes: int = 16 * 1024
    """Number of bytes kept from the end of the bundle's output, for error messages."""

    def __post_init__(self) -> None:
        """Refuse limits that would let nothing run."""
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"WorkerLimits.{name} is {value}: it must be more than 0")

    def resources(self) -> dict[str, int]:
        """Return the operating system's limits by their names without RLIMIT_."""
        return {
            "AS": self.memory_bytes,
            "CPU": self.cpu_seconds,
            "FSIZE": self.file_bytes,
            "NOFILE": self.open_files,
            "NPROC": self.processes,
            "CORE": 0,
        }

    def totals(self) -> dict[str, int]:
        """Return what the supervisor counts, by the names of ``supervisor.Totals``."""
        return {
            "memory_bytes": self.memory_bytes,
            "scratch_bytes": self.scratch_bytes,
            "processes": self.processes,
        }


@dataclass(frozen=True)
class Confinement:
    """What a bundle runs without, over and above the limits. Each is False where refused."""

    network_cut: bool = False
    """Whether sockets of all kinds are blocked, and on most systems the interfaces too."""
    files_hidden: bool = False
    """Whether it can read only the standard library, itself and the system's libraries, write only
    its own folder, and set no rights, owners, times or attributes. This needs Landlock and the
    system-call filter."""
    processes_private: bool = False
    """Whether it sees no other process and the kernel ends its children; otherwise we find and end
    them."""

    @property
    def openings(self) -> list[str]:
        """What of this machine is open to the bundle and must not be, in words."""
        held = {"the network": self.network_cut, "this machine's files": self.files_hidden}
        return [what for what, holds in held.items() if not holds]


class ConfinementError(RuntimeError):
    """This machine does not confine a team's code; nothing of it has run."""

    def __init__(self, domain: str, problem: str) -> None:
        """Put a pointer to ``provost doctor`` before the problem."""
        super().__init__(
            f"`provost doctor` checks how this machine confines a team's code. {problem} No code "
            f"of the domain {domain!r} has run"
        )

    @classmethod
    def of_openings(cls, domain: str, openings: Sequence[str]) -> Self:
        """Say what would be open, and how to allow it."""
        return cls(
            domain,
            f"Here {' and '.join(openings)} would be open to the environment of a release: run on "
            "Linux with Landlock and seccomp, or set allow_unconfined (in SamplingSettings, and "
            "in DomainSettings and BlendSettings where prompts are made), which records keep.",
        )

    @classmethod
    def of_start(cls, domain: str, problem: str, output: str) -> Self:
        """Say that the process did not get as far as a team's code."""
        last = output.strip().splitlines()[-1:] or [""]
        return cls(domain, f"The process for it {problem}. {last[0]}")
