"""The folder through which weights reach vLLM servers: one for all ranks, or one on every node.

Its path is the same for all ranks. On a shared file system all of them see one folder. In memory
(``/dev/shm``) each node has its own, and its ranks write a copy of their own there, for the servers
of that node. A file that each rank leaves there shows once which ranks see the same folder.
"""

import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from tasks.contracts.refusal import RefusedError
from tasks.platform.ranks import agreed, exchange, exchange_json, num_ranks, rank

_OURS = re.compile(r"[0-9a-f]{64}|adapter-[0-9a-f]{64}|partial|partial-adapter")


class WeightsFolder:
    """The folder as this rank sees it, and the ranks that see the same one."""

    def __init__(self, path: Path) -> None:
        """Make the folder where it is missing, and look who sees it. Collective.

        Raises:
            RefusedError: ``folder-not-shared`` if one rank sees another's files, and not the other
                way around.
        """
        self.path = path
        self._groups = _groups(_seen(path))
        [self._members] = [group for group in self._groups if rank() in group]

    @property
    def leaders(self) -> list[int]:
        """The first rank of each folder."""
        return [group[0] for group in self._groups]

    @property
    def leads(self) -> bool:
        """Whether this rank does what is done once in its folder."""
        return rank() == self._members[0]

    def is_dealt(self, number: int) -> bool:
        """Return whether this rank has the turn of that number, among those of its folder."""
        return self._members[number % len(self._members)] == rank()

    def keep_only(self, kept: Path | None) -> None:
        """Remove all weights but some, or all of them. Collective."""
        if self.leads:
            for other in self.path.iterdir():
                if other != kept and _OURS.fullmatch(other.name):
                    shutil.rmtree(other)
        exchange("kept")

    def refuse_full(self, needed: int, what: str) -> None:
        """Raise RefusedError on all ranks if so many bytes do not fit into any folder. Collective.

        ``what`` names what takes them.
        """
        free = [int(str(each)) for each in exchange_json(shutil.disk_usage(self.path).free)]
        if needed > min(free):
            raise RefusedError(
                "too-little-room",
                f"{self.path} has {min(free) >> 20} MiB of free space, and needs "
                f"{-(-needed >> 20)} MiB for {what}: set vllm.weights_folder to a larger folder, "
                "or give /dev/shm more memory",
            )


def _seen(path: Path) -> list[list[int]]:
    """Return for each rank the ranks that see the same folder as it does. Collective."""
    path.mkdir(parents=True, exist_ok=True)
    token = str(agreed(secrets.token_hex(8)))  # a name that no file system has looked up before
    own = path / f".{token}-{rank()}"
    own.touch()
    exchange("written")
    seen = [str(each) for each in range(num_ranks()) if (path / f".{token}-{each}").exists()]
    found = [[int(each) for each in text.split()] for text in exchange(" ".join(seen))]
    own.unlink()
    return found


def _groups(seen: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the ranks of each folder, in the order of their first ranks."""
    for one, others in enumerate(seen):
        if one not in others or any(seen[other] != others for other in others):
            raise RefusedError(
                "folder-not-shared",
                f"rank {one} sees the files of ranks {[*others]} in vllm.weights_folder, and they "
                "do not see the same ones: set it to a folder that all ranks share at once, or to "
                "one in the memory of each node (/dev/shm)",
            )
    return [[*group] for group in dict.fromkeys(map(tuple, seen))]
