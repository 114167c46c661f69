"""Estimates the cost of a plan (time, memory and storage) before anything is spent.

Memory of each rank, network and time on GPUs are those of ``tasks.estimate``. Elsewhere time is the
number of operations divided by the speed. A token costs about 2 operations per parameter forward
and 4 backward (Kaplan et al. 2020, 2001.08361, section 2.1). With P parameters of the student and Q
of its teacher, sampling costs 2 P, learning 6 P, and the teacher's forward pass 2 Q. In the gate, a
rollout costs 2 P and 2 Q for sampling, 2 P and 2 Q for reading, 2 Q more for each domain in which
the teacher answers, and for a staged ladder 2 P once and 2 Q per rung. The speed is ``UTILIZATION``
times the data sheet's speed of the flavor's GPUs, or times this machine's speed in a measured
matrix product.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from tasks.contracts.handover import Plan
from tasks.contracts.refusal import RefusedError
from tasks.estimate.alone import Need, Sampled, needs_of, refuse_too_large_alone
from tasks.estimate.host import stored_in_all
from tasks.estimate.layouts import Fit, limits_of, refuse_too_large
from tasks.estimate.planned import Ranks, free_here, planned_work
from tasks.estimate.traffic import StepTime, gpus_of_server, step_time
from tasks.gate.machine import Machine, machine
from tasks.gate.measured import ProbeSettings
from tasks.gate.probe_step import prompts_of
from tasks.model.chat import ChatTokens
from tasks.model.files import load_tokenizer
from tasks.onpolicy.ladder import rungs_to_measure
from tasks.onpolicy.settings import Workload
from tasks.platform.gpus import GPUS
from tasks.platform.progress import format_seconds
from tasks.platform.resources import Stage, chosen_flavor, free_storage
from tasks.platform.step_runner import StepRunner

_NUM_PROMPTS = 32
_GIB = 1 << 30


@dataclass(frozen=True)
class Probing:
    """The cost of the gate's measurement."""

    prompts_per_domain: int
    num_teachers: int
    num_rungs: int
    """Number of rungs of staged ladders, over all teachers."""
    operations: float
    machine: Machine

    @property
    def summary(self) -> str:
        """Return the estimate in words."""
        seconds = format_seconds(self.operations / self.machine.operations_per_second)
        rungs = f" and {self.num_rungs} rungs" if self.num_rungs else ""
        return (
            f"about {seconds} on {self.machine.name}: {self.num_teachers} teachers{rungs}, "
            f"{self.prompts_per_domain} prompts per domain"
        )


@dataclass(frozen=True)
class Forecast:
    """The estimated cost of a plan, with the figures behind it."""

    parameters: int
    """Number of parameters of the student."""
    teacher_parameters: int
    """Number of parameters of the largest teacher."""
    tokens_per_step: float
    """Tokens of prompts and responses per step, with every response at its maximum length."""
    operations: float
    """Operations of all rounds together."""
    machine: Machine
    fit: Fit
    """The work of one rank, with its memory, beside what there is."""
    storage: int
    """Bytes of ledgers, students, controls and the training state."""
    probe: Probing | None = None
    """Cost of the gate's measurement; None if it measures nothing."""
    trained_controls: int = 0
    """Number of controls that train for as long as the rounds."""

    needs: tuple[Need, ...] = ()
    """Memory of the stages that one process runs, beside what each has."""

    @property
    def step(self) -> StepTime | None:
        """The time of a step on the flavor's GPUs; None without."""
        gpu = GPUS.get(self.machine.gpu)
        return step_time(self.fit.work, gpu) if gpu else None

    @property
    def seconds(self) -> float:
        """Duration of all rounds together, without loading, evaluation and merges."""
        if (step := self.step) is not None:
            load = self.fit.work.load
            return load.rounds * load.loop.num_steps * step.total
        return self.operations / self.machine.operations_per_second

    def _servers(self) -> list[tuple[str, str]]:
        """Return what is known of the servers that sample; nothing without any."""
        if not (servers := self.fit.work.load.servers):
            return []
        gpu = GPUS.get(self.machine.gpu)
        each = gpus_of_server(self.fit.work, gpu) if gpu else 0
        more = f", of at least {each} x {self.machine.gpu} each" if each else ""
        return [("servers", f"{servers} vLLM{more}: on top, at a guessed speed")]

    def lines(self) -> list[tuple[str, str]]:
        """Return name and value of each estimate, in words."""
        hours = self.seconds * self.machine.gpus / 3600
        time_said = f"about {format_seconds(self.seconds)} of MOPD on {self.machine.name}"
        if self.machine.gpus:
            time_said += f": {hours:.1f} GPU-hours"
        if (step := self.step) is not None:
            time_said += f" ({step.shares})"
        more = format_seconds(self.trained_controls * self.seconds)
        controls = f"{self.trained_controls} to train, each for as long: about {more} more"
        return [
            ("time", time_said),
            ("controls", controls if self.trained_controls else "none to train"),
            ("gate", self.probe.summary if self.probe else "measures nothing"),
            ("memory", self.fit.summary),
            *self._servers(),
            *((need.stage.value, need.summary) for need in self.needs),
            ("storage", f"{self.storage / _GIB:.2f} GiB of ledger, students and controls"),
            (
                "calculated from",
                f"{self.parameters / 1e6:.2f} M parameters (largest teacher "
                f"{self.teacher_parameters / 1e6:.2f} M), at most {self.tokens_per_step:,.0f} "
                f"tokens per step, {self.operations:.2e} operations at "
                f"{self.machine.operations_per_second:.2e} per second ({self.machine.known_by})",
            ),
        ]


def forecast(
    runner: StepRunner, plan: Plan, workload: Workload, probe: ProbeSettings | None = None
) -> Forecast:
    """Return the estimate of a plan under the chosen flavor, or on this machine.

    It covers the rounds and the gate's measurement, if there is one.
    """
    student = num_parameters(runner.store.tree(plan.student.digest))
    teachers = {
        t.name: num_parameters(runner.store.tree(t.checkpoint.digest)) for t in plan.teachers
    }
    prompts = _prompt_tokens(runner, plan)
    lengths = {
        domain: statistics.fmean(tokens) + workload.max_new_tokens
        for domain, tokens in prompts.items()
    }
    tokens = workload.rollouts_per_step * sum(lengths.values())
    mean_teacher = sum(t.share * teachers[t.name] for t in plan.teachers) / len(plan.leads)
    steps = workload.loop.num_steps * workload.rounds
    fit = _fit(runner, plan, workload, max(map(max, prompts.values())))
    return Forecast(
        parameters=student,
        teacher_parameters=max(teachers.values()),
        tokens_per_step=tokens,
        operations=steps * tokens * (8 * student + 2 * mean_teacher),
        machine=machine(Stage.MOPD_ROUND),
        fit=fit,
        storage=stored_in_all(fit.work),
        probe=_probing(plan, probe, lengths, student, teachers) if probe else None,
        trained_controls=workload.trained_controls,
        needs=tuple(_needs(runner, plan, fit, probe)),
    )


def _needs(runner: StepRunner, plan: Plan, fit: Fit, probe: ProbeSettings | None) -> list[Need]:
    sets = (runner.store.get_bytes(lead.evaluation.digest) for lead in plan.leads)
    lines = max(len(prompts.splitlines()) for prompts in sets)
    sampled = Sampled(probe.prompts_per_domain if probe else 0, lines)
    return needs_of(fit.work, chosen_flavor(), fit.limits, sampled)


def _fit(runner: StepRunner, plan: Plan, workload: Workload, prompt_tokens: int) -> Fit:
    """Return the work of a rank beside the chosen flavor's memory, or this machine's."""
    flavor = chosen_flavor()
    stage = flavor.stages[Stage.MOPD_ROUND] if flavor else None
    ranks = Ranks(
        number=stage.num_ranks if stage else 1,
        per_node=max(stage.gpus, 1) if stage else 1,
        on_gpu=bool(stage.gpus) if stage else torch.cuda.is_available(),
    )
    work = planned_work(runner.store, plan, workload, prompt_tokens, ranks)
    return Fit(work, limits_of(flavor) if flavor else free_here())


def refuse_what_cannot_run(runner: StepRunner, plan: Plan, cost: Forecast) -> None:
    """Refuse a plan that fits no memory or no disk, before anything is spent.

    Raises:
        RefusedError: it does not fit, and no round of these teachers is stored already.
    """
    refuse_small_disk(runner, plan, cost)
    missing = [*cost.fit.missing, *(need.missing for need in cost.needs if need.missing)]
    if missing and not runner.only_finds and not _is_distilled(runner, plan):
        refuse_too_large(cost.fit, chosen_flavor())
        refuse_too_large_alone(cost.needs)


def refuse_small_disk(
    runner: StepRunner, plan: Plan, cost: Forecast, free: Callable[[Path], int] = free_storage
) -> None:
    """Compare what a consolidation stores at least with the room for it.

    Raises:
        RefusedError: where it does not fit, and no round of these teachers is stored already.
    """
    if "://" in runner.store.uri or runner.only_finds:  # a bucket has no known end
        return
    room = free(Path(runner.store.uri))
    if cost.storage > room and not _is_distilled(runner, plan):
        raise RefusedError(
            "disk-too-small",
            f"the consolidation stores at least {cost.storage / _GIB:.2f} GiB (ledger, students, "
            f"controls and a training state), but {room / _GIB:.2f} GiB are free under "
            f"{runner.store.uri}: free some storage, raise ledger.segment_steps, or set "
            "ledger_precision=bf16",
        )


def _is_distilled(runner: StepRunner, plan: Plan) -> bool:
    """Return whether a round of these teachers from this student is finished."""
    wanted = {plan.student.digest, *(teacher.checkpoint.digest for teacher in plan.teachers)}
    for digest in runner.records.all():
        record = runner.records.read(digest)
        if record.kind == "mopd" and wanted <= {item.artifact for item in record.inputs}:
            return runner.records.finished(digest) is not None
    return False


def _probing(
    plan: Plan,
    settings: ProbeSettings,
    lengths: Mapping[str, float],
    student: int,
    teachers: Mapping[str, int],
) -> Probing:
    """Return the cost of a probe; ``lengths`` are the tokens of a rollout by domain."""
    measured = [teacher for teacher in plan.teachers if not teacher.is_self]
    played = {domain: settings.prompts_per_domain * length for domain, length in lengths.items()}
    operations = sum(2.0 * student * played[domain] for domain in {t.domain for t in measured})
    num_rungs = 0
    for teacher in measured:
        own, rungs = (
            played[teacher.domain],
            rungs_to_measure(teacher.ladder, settings.ladder_stages),
        )
        num_rungs += len(rungs)
        operations += 2.0 * student * own * (2 if rungs else 1)
        everyone = sum(played[domain] for domain in {t.domain for t in measured})
        operations += 2.0 * teachers[teacher.name] * (own * (2 + len(rungs)) + everyone)
    return Probing(
        prompts_per_domain=settings.prompts_per_domain,
        num_teachers=len(measured),
        num_rungs=num_rungs,
        operations=operations,
        machine=machine(Stage.GATE_PROBE),
    )


def num_parameters(checkpoint: Path) -> int:
    """Return the number of parameters of a checkpoint, from the headers of its files."""
    total = 0
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
        total += sum(int(torch.Size(shape).numel()) for shape in shapes)
    return total


def _prompt_tokens(runner: StepRunner, plan: Plan) -> dict[str, list[int]]:
    """Return by domain the tokens of some prompts, the longest in characters among them."""
    chat = ChatTokens(load_tokenizer(runner.store.tree(plan.student.digest)))
    found = {}
    for lead in plan.leads:
        every = prompts_of(runner, lead, lead.train)
        longest = max(every, key=lambda prompt: sum(len(m.content) for m in prompt.messages))
        prompts = [*every[:_NUM_PROMPTS], *([longest] if longest in every[_NUM_PROMPTS:] else [])]
        found[lead.domain] = [
            len(chat.prompt([{"role": m.role, "content": m.content} for m in prompt.messages]))
            for prompt in prompts
        ]
    return found
