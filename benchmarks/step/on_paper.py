"""The learner of one rank on a fake process group: the real code on tensors without numbers.

FakeTensorMode gives each tensor its shape and no memory, and torch's fake process group answers for
the other ranks at once. So the memory that the real learner would take on one of 64 GPUs is counted
on a laptop: what each operation allocates is added, and what is let go is subtracted.

What differs from a GPU: attention is the CPU's kernel, which repeats keys and values for each query
head and keeps them, and norms are the model's own. Chunks of logits, blocks of weights and buffers
of the loss have the sizes of a GPU. One microbatch of one teacher is learned from, and the teacher
is a model in bf16 on the device. Nothing is sampled, since a sampler looks at its tokens.

``tests/estimate/test_measured.py`` compares the estimate with the result.

    python -m benchmarks.step on_paper qwen3-32b
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from benchmarks.common.results import Row
from benchmarks.step.live_bytes import Answers, LiveBytes
from tasks.estimate.memory import held_all_the_time, phases
from tasks.estimate.presets import PRESETS
from tasks.estimate.shape import shape_of
from tasks.estimate.work import RankWork
from tasks.ledger import source_gradients
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.source_gradients import UpdateReport
from tasks.model import log_probs
from tasks.model.kernels.unread_tokens import reads_prefixes_once
from tasks.model.settings import Precision
from tasks.mopd.losses import exact
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.distributed import sharding
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.onpolicy.objective import ChunkLoss
from tasks.onpolicy.settings import LoopSettings, Workload
from tasks.platform import ranks
from tasks.rollout.batch import rollout_batch
from tasks.rollout.collect import Rollout
from tasks.rollout.environment import Grade, Message, Prompt

TEACHERS, RANKS = 12, (8, 16, 64)
HELD = "held"
COUNTED = (HELD, "teacher's pass", "heads and loss", "backward", "update", "ledger's rollout")
"""What is held all the time, and the phases that the estimate has too."""


@dataclass(frozen=True)
class Paper:
    """A step of one rank."""

    preset: str
    num_teachers: int
    num_ranks: int
    """At least 2."""
    displacements: bool = True
    num_layers: int = 0
    """Number of layers; 0 for the preset's own."""
    microbatch_tokens: int = 8192
    prompt_tokens: int = 512
    new_tokens: int = 1536

    @property
    def rows(self) -> int:
        """Rollouts of a microbatch."""
        return self.microbatch_tokens // (self.prompt_tokens + self.new_tokens)


class _PlannedOutside(Learner):
    """A learner that cuts its microbatches of real numbers, which its plan has to read."""

    answers: Answers

    def _plans(self, scored: Sequence[ScoredRollout], step: int) -> list[list[Microbatch]]:
        reads_prefixes_once(self.model, 2)  # tried on the model, which has no real numbers
        self.answers.is_off = True
        with unset_fake_temporarily():
            plans = super()._plans(scored, step)
        self.answers.is_off = False
        return plans


def step_on_paper(paper: Paper) -> dict[str, int]:
    """Return the most bytes of one rank in each phase of a step, by the real learner's code."""
    live, answers = LiveBytes(), Answers()
    with ExitStack() as stack:
        stack.enter_context(_fake_ranks(paper.num_ranks))
        stack.enter_context(_sizes_of_a_gpu())
        stack.enter_context(live.resizes_counted())
        for mode in (FakeTensorMode(allow_non_fake_inputs=True), answers, live):
            stack.enter_context(mode)
        return _phases(paper, live, answers)


def _phases(paper: Paper, live: LiveBytes, answers: Answers) -> dict[str, int]:
    found: dict[str, int] = {}

    def ends(phase: str) -> None:
        gc.collect()
        found[phase] = max(found.get(phase, 0), live.take())

    names = [f"teacher {place}" for place in range(paper.num_teachers)]
    # FSDP lets go of the whole student. FakeTensorMode keeps it: 4 bytes a weight in each phase.
    student = _model(paper, torch.float32)
    teacher = _model(paper, torch.bfloat16)
    settings = _settings(paper)
    objective = _Watched(
        Routing(Route(name, name) for name in names),
        ResidentTeachers(dict.fromkeys(names, teacher), 1.0),
        DistilSettings(),
        settings,
        [],
        recheck_every=1 << 30,
    )
    objective.ends = ends
    learner = _PlannedOutside(
        student, settings, 1.0, 0, objective.sources, record=paper.displacements
    )
    learner.answers = answers
    optimizer = learner.optimizer
    optimizer.step = _after(optimizer.step, lambda: ends("update"))  # type: ignore[method-assign]
    own = optimizer.gathering

    @contextmanager
    def gathering(source: str) -> Iterator[None]:
        ends("heads and loss")
        with own(source):
            yield
        ends("backward")

    optimizer.gathering = gathering  # type: ignore[method-assign]
    gc.collect()
    found[HELD] = live.now
    scored = objective.score(_rollouts(paper, names[0]))
    live.take()
    learner.update(objective, scored, 1)
    live.take()
    answers.is_off = True
    with unset_fake_temporarily():
        tokens = rollout_batch([scored[0].rollout], pad_id=0)
    answers.is_off = False
    with sharding.replica(student), torch.no_grad():
        log_probs.chosen_logits(student, tokens)
    ends("ledger's rollout")
    return found


class _Watched(Distillation):
    """An objective that says when its teacher has read a microbatch."""

    ends: Callable[[str], None]

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        self.ends("student's pass")
        losses = super().prepare(batch)
        self.ends("teacher's pass")
        return losses


def _after(work: Callable[[float], UpdateReport], then: Callable[[], None]) -> Any:  # noqa: ANN401
    def done(learning_rate: float) -> UpdateReport:
        report = work(learning_rate)
        then()
        return report

    return done


@contextmanager
def _fake_ranks(count: int) -> Iterator[None]:
    """Be the first of some ranks, whose messages are all the same and whose tensors never come."""
    if count == 1:
        yield
        return
    dist.init_process_group("fake", rank=0, world_size=count, store=FakeStore())
    mesh = init_device_mesh("cpu", (count,))

    def exchange(message: str) -> list[str]:
        return [message] * count

    try:
        with (
            mock.patch.object(ranks, "exchange", exchange),
            mock.patch.object(sharding, "init_device_mesh", return_value=mesh),
        ):
            yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _sizes_of_a_gpu() -> Iterator[None]:
    """Let blocks and chunks have the sizes that they have on a GPU."""
    with (
        mock.patch.object(source_gradients, "_ON_CPU", source_gradients._ON_GPU),
        mock.patch.object(log_probs, "LOGIT_BYTES", log_probs.LOGIT_BYTES_ON_GPU),
        mock.patch.object(exact, "_CPU_ELEMENTS", exact._DEVICE_ELEMENTS),
    ):
        yield


def _model(paper: Paper, dtype: torch.dtype) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_config(_config(paper), dtype=dtype)
    return model


def _config(paper: Paper) -> PretrainedConfig:
    preset = PRESETS[paper.preset]
    numbers = dict(preset.numbers)
    if paper.num_layers:
        numbers["num_hidden_layers"] = paper.num_layers
    return AutoConfig.for_model(preset.model_type, **numbers)


def _settings(paper: Paper) -> LoopSettings:
    return LoopSettings(
        num_steps=1,
        learning_rate=1e-4,
        precision=Precision.BF16,
        activation_checkpointing=True,
        microbatch_tokens=paper.microbatch_tokens,
    )


def _rollouts(paper: Paper, domain: str) -> list[Rollout]:
    """Return a full microbatch of one teacher's rollouts for each rank."""
    chosen = (False,) * paper.prompt_tokens + (True,) * paper.new_tokens
    prompt, count = Prompt("p", (Message("user", ""),), {}), paper.rows * paper.num_ranks
    return [
        Rollout(
            domain=domain,
            prompt=prompt,
            turns=(),
            grade=Grade(1.0),
            # Rows without a common beginning.
            ids=(place % 99, *range(1, len(chosen))),
            is_response=chosen,
            sampler_log_probs=(0.0,) * len(chosen),
            truncated=False,
        )
        for place in range(count)
    ]


def work_of(paper: Paper) -> RankWork:
    """Return what the estimate takes for the same step."""
    shape = shape_of(_config(paper), paper.preset)
    loop = _settings(paper)
    load = Workload(
        loop=loop,
        ledger=LedgerSettings(displacements=paper.displacements),
        rounds=1,
        prompts_per_domain=paper.rows * paper.num_ranks,
        rollouts_per_prompt=1,
        max_new_tokens=paper.new_tokens,
        has_outcome=False,
    )
    return RankWork(
        student=shape,
        teachers=(shape,) * paper.num_teachers,
        load=load,
        num_ranks=paper.num_ranks,
        ranks_per_node=8,
        on_gpu=True,
        prompt_tokens=paper.prompt_tokens,
        domains=paper.num_teachers,
    )


def estimated(paper: Paper) -> dict[str, int]:
    """Return what the estimate says of the same phases."""
    work = work_of(paper)
    found = {phase.name: phase.total for phase in phases(work) if phase.name in COUNTED}
    return {HELD: sum(held_all_the_time(work).values()), **found}


def on_paper(preset: str) -> list[Row]:
    """Count a step of a published model with twelve teachers on 8, 16 and 64 GPUs."""
    rows = []
    for num_ranks in RANKS:
        paper = Paper(preset, TEACHERS, num_ranks)
        counted = step_on_paper(paper)
        rows.append({"paper": vars(paper), "bytes": {name: counted[name] for name in COUNTED}})
    return rows
