"""A released domain's environment, run from its source bundle in a confined process.

A team's code is never imported here and never runs with the caller's credentials: the process
gets an empty environment, a temporary folder, resource limits, and on Linux no network.
"""

import importlib.util
import json
import os
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tasks.rollout.client import (
    EnvironmentFailure,
    Episode,
    NonsenseError,
    demonstrations_from_json,
    grade_of,
    max_turns_from,
    prompts_from_json,
    reply_from,
)
from tasks.rollout.environment import Demonstration, Grade, Json, Prompt, Split
from tasks.rollout.json_lines import PromptError, parse_json
from tasks.rollout.prompts import prompt_to_json
from tasks.rollout.worker.limits import Confinement, ConfinementError, WorkerLimits
from tasks.rollout.worker.process import ConfinedProcess, ProcessLostError

Answer = TypeVar("Answer")
_CARRIED = ("pylock.toml", "wheels")
"""Names in a bundle that carries packages."""
_NEEDS_NETWORK = "grader-needs-network"
_WITHOUT_NETWORK = """after it tried to reach a network, which an environment does not have: put \
what it fetches into the bundle, data as files and packages as wheels"""


class EnvironmentWorker:
    """An ``EnvironmentClient`` that asks a bundle in its own process; use it in ``with``.

    A call that fails leaves the next one a fresh start: when the process is gone (it hung, died
    or wrote nonsense) the next call starts another. Not for use by two threads at once.
    """

    def __init__(
        self,
        bundle: Path,
        limits: WorkerLimits | None = None,
        domain: str = "",
        *,
        allow_unconfined: bool = False,
    ) -> None:
        """Name the folder that holds the bundle; ``domain`` is for messages.

        ``allow_unconfined`` runs it also where files or network of this machine are open to it.
        """
        self.domain = domain or bundle.name
        self._allow_unconfined = allow_unconfined
        self._bundle = bundle.resolve()
        self._limits = limits or WorkerLimits()
        self._process: ConfinedProcess | None = None
        self._max_turns = 0
        self._tried_network = False
        self._confinement = Confinement()

    def __enter__(self) -> Self:
        """Start the process and load the bundle.

        Raises:
            RefusedError: the bundle's wheels are not those of its lock, or do not run here.
            ConfinementError: this machine does not confine it, and that is not allowed.
            EnvironmentFailure: the bundle does not load.
        """
        self._running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process and everything that it started."""
        self._stop()

    @property
    def max_turns(self) -> int:
        """The most turns that the model gets in one episode."""
        self._running()
        return self._max_turns

    @property
    def confinement(self) -> Confinement:
        """The confinement of the bundle on this platform."""
        self._running()
        return self._confinement

    def refuse_network(self) -> None:
        """Raise EnvironmentFailure if the bundle tried to reach a network, even if it went on."""
        if self._tried_network:
            problem = f"was answered {_WITHOUT_NETWORK}"
            raise EnvironmentFailure(self.domain, "grade", problem, code=_NEEDS_NETWORK)

    def restart(self) -> None:
        """End the process and start another."""
        self._stop()
        self._running()

    def respond(self, items: Sequence[Episode]) -> list[str | None]:
        """Answer each episode's last turn; None ends it. EnvironmentFailure if it cannot."""
        return self._each("respond", items, reply_from)

    def grade(self, items: Sequence[Episode]) -> list[Grade]:
        """Grade finished episodes, in order. EnvironmentFailure if it cannot."""
        return self._each("grade", items, _grade_from_json)

    def prompts(self, split: Split, count: int, seed: int) -> list[Prompt]:
        """Return ``count`` prompts of a split. EnvironmentFailure if there are not so many."""
        request: dict[str, Json] = {"split": split, "count": count, "seed": seed}
        rows = self._ask("prompts", request)
        with self._refusing("prompts"):
            return prompts_from_json(rows, count)

    def demonstrations(self, count: int, seed: int) -> list[Demonstration]:
        """Return ``count`` worked examples of the train split."""
        rows = self._ask("demonstrations", {"count": count, "seed": seed})
        with self._refusing("demonstrations"):
            return demonstrations_from_json(rows, count)

    def _each(
        self, call: str, items: Sequence[Episode], check: Callable[[object], Answer]
    ) -> list[Answer]:
        episodes: list[Json] = [
            [prompt_to_json(item.prompt), [[turn.role, turn.content] for turn in item.turns]]
            for item in items
        ]
        answers = self._ask(call, {"episodes": episodes}, items)
        with self._refusing(call):
            if not isinstance(answers, list) or len(answers) != len(items):
                raise NonsenseError(f"did not give one answer for each of {len(items)} episodes")
        checked: list[Answer] = []
        for item, answer in zip(items, answers, strict=True):
            with self._refusing(call, item.prompt.id):
                checked.append(check(answer))
        return checked

    def _ask(self, call: str, request: Mapping[str, Json], items: Sequence[Episode] = ()) -> object:
        """Send a call to the bundle and return its unchecked answers."""
        seconds = self._limits.call_seconds
        process = self._running()
        line = json.dumps({"call": call, "seconds": seconds, **request}, allow_nan=False)
        reply = self._exchange(process, call, line.encode() + b"\n", seconds, items)
        return reply.get("answers")

    def _exchange(
        self,
        process: ConfinedProcess,
        call: str,
        line: bytes,
        seconds: float,
        items: Sequence[Episode],
    ) -> dict[str, object]:
        """Return the child's reply, or raise EnvironmentFailure for what went wrong there."""
        try:
            reply = _object(process.exchange(line, seconds, len(items)))
        except (ProcessLostError, PromptError, UnicodeDecodeError) as error:
            prompt_id = _prompt_at(process.position, items)
            self._stop()
            problem = str(error) if isinstance(error, ProcessLostError) else f"answered {error}"
            raise EnvironmentFailure(
                self.domain, call, problem, prompt_id=prompt_id, details=process.output
            ) from error
        except BaseException:  # Ctrl-C: half a conversation cannot be taken up again
            self._stop()
            raise
        self._tried_network |= reply.get("network") is True
        if "problem" in reply:
            raise EnvironmentFailure(
                self.domain,
                call,
                str(reply["problem"]) + (f" {_WITHOUT_NETWORK}" if self._tried_network else ""),
                code=_NEEDS_NETWORK if self._tried_network else "",
                prompt_id=_prompt_at(process.position, items),
                details=str(reply.get("details", "")),
            )
        return reply

    def _running(self) -> ConfinedProcess:
        if self._process is None:
            self._process = self._launch()
            try:
                self._confinement = self._confined(self._process)
                self._load(self._process)
            except (EnvironmentFailure, ConfinementError):
                self._stop()
                raise
        return self._process

    def _confined(self, process: ConfinedProcess) -> Confinement:
        """Return what the supervisor says of a process that has not loaded the bundle yet."""
        try:
            said = _object(process.exchange(b"", self._limits.start_seconds))
        except (ProcessLostError, PromptError, UnicodeDecodeError) as error:
            raise ConfinementError.of_start(self.domain, str(error), process.output) from error
        confinement = Confinement(**{name: said[name] is True for name in vars(Confinement())})
        if confinement.openings and not self._allow_unconfined:
            raise ConfinementError.of_openings(self.domain, confinement.openings)
        return confinement

    def _load(self, process: ConfinedProcess) -> None:
        reply = self._exchange(process, "load", b"{}\n", self._limits.start_seconds, ())
        with self._refusing("load"):
            self._max_turns = max_turns_from(reply.get("max_turns"))

    def _launch(self) -> ConfinedProcess:
        site = _site_folders(self._bundle)
        modules, monty = importable_modules(site), monty_binary()
        rollout = str(Path(__file__).resolve().parents[1])
        packages = [_folder_or_file(file) for name, file in modules.items() if name != "tasks"]
        # Libraries for numbers take a thread for each core otherwise, and give other sums.
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} if site else {}
        return ConfinedProcess(
            {
                "bundle": str(self._bundle),
                "modules": modules,
                "site": site,
                "readable": [str(self._bundle), rollout, monty, modules["tasks"], *packages, *site],
                "limits": self._limits.resources(),
                "totals": self._limits.totals(),
            },
            # The same hashes, the same zone and the same texts everywhere: grades are repeatable.
            {"MONTY_BIN": monty, "PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "TZ": "UTC", **threads},
            message_bytes=self._limits.message_bytes,
            output_bytes=self._limits.output_bytes,
        )

    def _stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.close()

    @contextmanager
    def _refusing(self, call: str, prompt_id: str = "") -> Iterator[None]:
        try:
            yield
        except NonsenseError as error:
            raise EnvironmentFailure(self.domain, call, str(error), prompt_id=prompt_id) from error


def _site_folders(bundle: Path) -> list[str]:
    """Return the folders of a bundle's wheels; most bundles have none, and load nothing for it."""
    if not any((bundle / name).exists() for name in _CARRIED):
        return []
    from tasks.rollout.wheels.bundled import site_folders  # noqa: PLC0415
    from tasks.rollout.wheels.cache import wheel_cache  # noqa: PLC0415

    return site_folders(bundle, wheel_cache())


def importable_modules(site: Sequence[str] = ()) -> dict[str, str]:
    """Return the file of each module that the child imports from here and not from ``site``."""
    modules = {"tasks": str(Path(__file__).resolve().parents[2] / "__init__.py")}
    for name in ("pydantic_monty", "typing_extensions"):
        if any(Path(folder, f"{name}.py").exists() for folder in site):
            continue
        spec = importlib.util.find_spec(name)  # finds a top-level name without importing it
        if spec is not None and spec.origin is not None:
            modules[name] = spec.origin
    return modules


def _folder_or_file(file: str) -> str:
    path = Path(file)
    return str(path.parent) if path.name == "__init__.py" else file


def monty_binary() -> str:
    """Return the path of the sandbox's own worker program."""
    return os.environ.get("MONTY_BIN") or str(Path(sysconfig.get_path("scripts")) / "monty")


def _object(line: bytes) -> dict[str, object]:
    reply = parse_json(line.decode("utf-8"))
    if not isinstance(reply, dict):
        raise ProcessLostError("did not answer with a JSON object")
    return reply


def _prompt_at(position: int, items: Sequence[Episode]) -> str:
    return items[position].prompt.id if 0 <= position < len(items) else ""


def _grade_from_json(value: object) -> Grade:
    if not isinstance(value, list) or len(value) != len(("score", "reason")):
        raise NonsenseError("did not give a score and a reason")
    return grade_of(*value)
