"""A climb by a command of the team's own: another trainer, in its own process.

The command gets one argument, the path of a JSON file:

* ``start``: folder of the checkpoint to train, in safetensors.
* ``prompts``: JSONL file of the training prompts; ``environment``: folder of the bundle that grades
  them; ``domain``: its name; ``system_prompt``: to be put before each prompt, "" for none.
* ``settings``, ``sampling``, ``rungs``, ``seed``: as the team set them.
* ``output``: folder to write. At the end it holds ``step-N`` for each rung: a Hugging Face folder
  in safetensors, or a LoRA adapter of PEFT. ``metrics.jsonl`` in it, with a ``step`` and numbers
  in each line, is recorded.
* ``resumes``: whether an earlier attempt, on this machine, left something in ``output``.

The command is trusted as the team's own launch is: it runs unconfined, with the rights of this
process, but without its environment variables, and thus without the signing key and passwords.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from lineage.artifacts import Artifact, Rung
from lineage.digest import digest_json, hex_of
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from lineage.store.store import home
from tasks.contracts.handover import Domain
from tasks.contracts.refusal import RefusedError
from tasks.model.ancestry import CheckpointTensors, ancestry
from tasks.model.trained_elsewhere import as_checkpoint
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.step_runner import StepRunner
from tasks.rl.external_settings import ExternalTrainer
from tasks.rollout.worker.bundle import folder_of

KIND = "external"
LOG, METRICS, JOB = "log.txt", "metrics.jsonl", "job.json"
KEPT_VARIABLES = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "HF_HOME", "HF_HUB_OFFLINE"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"),
)
"""Variables of this process that the command gets; others may hold secrets."""
CONFINEMENT = "unconfined: with the rights of the climb's process, without its variables and keys"
_LAST_LINES, _GRACE_SECONDS = 20, 30


def climb_outside(
    runner: StepRunner,
    start: Artifact,
    domain: Domain,
    settings: ExternalTrainer,
    package: str,
    seed: int,
) -> list[Rung]:
    """Return the ladder that the command leaves, the teacher last; found, or else made.

    Raises:
        RefusedError: if the command fails, takes too long, or leaves something else than its rungs.
    """
    folder = folder_of(package)
    trainer = _store_files(runner, folder, settings)
    store_system_prompt(runner.store, domain.settings.system_prompt)
    rungs = [
        (step, _derivation(runner, (start, trainer), domain, settings, seed, step))
        for step in settings.rungs
    ]
    found = {step: runner.find(derivation) for step, derivation in rungs}
    if None in found.values():
        with runner.making(rungs[-1][1]):
            job = _Job(runner, start, domain, settings, seed, folder)
            notes = job.run(rungs[-1][1])
        for step, derivation in rungs:
            found[step] = _commit(runner, derivation, job, step, notes)
        job.remove()
    return [Rung(step=step, checkpoint=made) for step, made in found.items() if made]


def _store_files(runner: StepRunner, folder: Path, settings: ExternalTrainer) -> str:
    """Store the files that the command runs, and return the digest of their folder."""
    with tempfile.TemporaryDirectory(prefix="provost-") as name:
        copy = Path(name, "trainer")
        for file in settings.files:
            source, target = folder / file, copy / file
            if not source.is_file() or not source.resolve().is_relative_to(folder.resolve()):
                raise RefusedError(
                    "no-trainer-file",
                    f"{source} is not a file of the team's folder, but the external trainer names "
                    "it in files: list the files that its command runs, relative to that folder",
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        return runner.store.put_tree(copy)


def _derivation(
    runner: StepRunner,
    taken: tuple[Artifact, str],
    domain: Domain,
    settings: ExternalTrainer,
    seed: int,
    step: int,
) -> Derivation:
    start, trainer = taken
    return Derivation(
        project=runner.project,
        kind=KIND,
        inputs=(
            Input.of("start", start),
            Input.of("prompts", domain.train),
            Input.of("environment", domain.environment),
            Input(role="trainer", artifact=trainer),
            *system_prompt_inputs(domain.settings.system_prompt),
        ),
        source=digest_json({"step": source_digest("rl"), "trainer": trainer}),
        settings={
            **settings.model_dump(mode="json"),
            "domain": domain.settings.name,
            "stop_at": step,
        },
        seed=seed,
    )


class _Job:
    """One run of the command, in a folder that outlives an attempt."""

    def __init__(
        self,
        runner: StepRunner,
        start: Artifact,
        domain: Domain,
        settings: ExternalTrainer,
        seed: int,
        folder: Path,
    ) -> None:
        self.start, self.domain, self.settings = start, domain, settings
        self._runner, self._seed, self._folder = runner, seed, folder
        self.place = Path()

    @property
    def output(self) -> Path:
        """The folder into which the command writes."""
        return self.place / "output"

    def run(self, last: Derivation) -> dict[str, JsonValue]:
        """Run the command to its end; return what happened, for the record."""
        self.place = home() / "external" / hex_of(last.digest())[:16]
        resumes = self.output.is_dir()
        self.output.mkdir(parents=True, exist_ok=True)
        store, team = self._runner.store, self.domain.settings
        prompts = self.place / "prompts.jsonl"
        prompts.write_bytes(store.get_bytes(self.domain.train.digest))
        job: dict[str, JsonValue] = {
            "start": str(store.tree(self.start.digest)),
            "prompts": str(prompts),
            "environment": str(store.tree(self.domain.environment.digest)),
            "domain": team.name,
            "system_prompt": team.system_prompt,
            "settings": self.settings.values(),
            "sampling": self.settings.sampling.model_dump(mode="json"),
            "rungs": [*self.settings.rungs],
            "seed": self._seed,
            "output": str(self.output),
            "resumes": resumes,
        }
        (self.place / JOB).write_text(json.dumps(job, indent=1), "utf-8")
        report(f"{team.name} climb", 0, self.settings.rungs[-1], message=self.settings.version)
        code = self._execute()
        if code != 0:
            raise self._failed(f"ended with the exit code {code}")
        return {
            "command": [*self._command()],
            "exit_code": code,
            "resumed": resumes,
            "confinement": CONFINEMENT,
            "variables": [*sorted(self._variables())],
            "time_limit_minutes": self.settings.time_limit_minutes,
            "log": store.put_file(self.place / LOG),
        }

    def remove(self) -> None:
        """Remove the folder; every rung is in the store."""
        shutil.rmtree(self.place)

    def _execute(self) -> int:
        with (self.place / LOG).open("ab") as log:
            process = subprocess.Popen(
                self._command(),
                cwd=self._folder,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(timeout=60 * self.settings.time_limit_minutes)
            except subprocess.TimeoutExpired:
                raise self._failed(
                    f"did not end within {self.settings.time_limit_minutes:g} minutes "
                    "(time_limit_minutes)"
                ) from None
            finally:
                _end(process)

    def _command(self) -> list[str]:
        known = {"{python}": sys.executable, "{folder}": str(self._folder)}
        words = [*self.settings.command, str(self.place / JOB)]
        for mark, value in known.items():
            words = [word.replace(mark, value) for word in words]
        return words

    def _variables(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        return kept | self.settings.environment

    def _failed(self, what: str) -> RefusedError:
        log = self.place / LOG
        with log.open(encoding="utf-8", errors="replace") as lines:
            last = "".join(deque(lines, _LAST_LINES)).rstrip()
        return RefusedError(
            "trainer-failed",
            f"the trainer of {self.domain.settings.name}, {self.settings.version}, {what}. Its log "
            f"is {log}. Launch again to go on from what it left in {self.output}\nLast "
            f"lines of its output:\n{last}",
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with the processes that it started, if they still run."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _commit(
    runner: StepRunner, derivation: Derivation, job: _Job, step: int, notes: dict[str, JsonValue]
) -> Artifact:
    """Store one rung, checked against the checkpoint that the command was to start from."""
    source = job.output / f"step-{step}"
    if not source.is_dir():
        there = sorted(path.name for path in job.output.iterdir())
        raise RefusedError(
            "missing-rung",
            f"the external trainer left no folder step-{step} in {job.output}, but {there}: "
            "have it write one for each of its rungs, or change rungs",
        )

    def make(into: Path, measurements: Measurements) -> Path:
        start = runner.store.tree(job.start.digest)
        brought = as_checkpoint(source, start, into / "model")
        found = ancestry(brought.folder, CheckpointTensors("its start", start), None, [])
        if found is None or found.contradicted:
            raise RefusedError(
                "contradicted-start",
                f"the weights of {source} do not come from the checkpoint that the trainer was "
                f"given ({found.summary if found else 'their shapes differ'}): have it start from "
                "the folder that the job names as start",
            )
        for row in _metrics(job.output / METRICS):
            measurements.add(int(row["step"]), {k: v for k, v in row.items() if k != "step"})
        measurements.notes |= notes | brought.notes | {"ancestry": found.model_dump(mode="json")}
        return brought.folder

    return runner.find_or_make(derivation, "checkpoint", make, job.domain.settings.owner)


def _metrics(path: Path) -> Iterator[dict[str, float]]:
    """Yield the rows of a trainer's metrics; what is not a number is left out."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            numbers = {str(k): float(v) for k, v in row.items() if isinstance(v, int | float)}
            numbers["step"] = float(int(row["step"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RefusedError(
                "unreadable-metrics",
                f"{path}, line {number}: not a JSON object with a whole number as its step "
                f"({error}): correct what the external trainer writes, or leave the file out",
            ) from error
        yield numbers
