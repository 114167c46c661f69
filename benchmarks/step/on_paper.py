"""The learner of one rank on a fake process group: the real code on tensors without numbers.

FakeTensorMode gives each tensor its shape and no memory, and torch's fake process group answers for
the other ranks at once. So the memory that the real learner would take on one of 64 GPUs is counted
on a laptop: what each operation allocates is added, and what is let go is subtracted.

What differs from a GPU: attention is the CPU's kernel, which repeats keys and values for each query
head and keeps them, and norms are the model's own. Chunks of logits, blocks of weights and buffers
of the loss have the sizes of a GPU. One microbatch of one teacher is learned from. The teacher is a
model in bf16, whole on the device or shared by the ranks. Nothing is sampled, since a sampler looks
at its tokens, and no segment is closed.

``tests/estimate/test_measured.py`` compares the estimate with the result.

    python -m benchmarks.step on_paper
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from unittest import mock

import torch
import torch.distributed as dist
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoModelForCausalLM, PreTrainedModel

from benchmarks.common.process import in_own_process
from benchmarks.common.results import Row
from benchmarks.step.live_bytes import Answers, LiveBytes
from benchmarks.step.paper import COUNTED, HELD, PAPERS, Paper, config_of, rollouts_of, settings_of
from tasks.estimate.ledger_phases import PROBED_TOKENS
from tasks.ledger import source_gradients
from tasks.ledger.source_gradients import UpdateReport
from tasks.model import log_probs
from tasks.model.kernels.unread_tokens import reads_prefixes_once
from tasks.model.log_probs import TokenBatch, chosen_hidden, head_logits
from tasks.mopd.losses import exact
from tasks.mopd.objective import Distillation
from tasks.mopd.round_models import FrozenModels, ScoreRequest
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import DistilSettings
from tasks.mopd.teacher_pool import sharded
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.distributed import lockstep, sharding
from tasks.onpolicy.distributed.lockstep import ProbedRollout
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout
from tasks.onpolicy.objective import ChunkLoss
from tasks.platform import ranks
from tasks.rollout.batch import rollout_batch
from tasks.rollout.collect import Rollout


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
    student = _model(paper, torch.float32)
    settings = settings_of(paper)
    objective = _Watched(
        Routing(Route(name, name) for name in names),
        _teachers(paper, names),
        DistilSettings(),
        settings,
        [],
        recheck_every=1 << 30,
    )
    objective.ends, objective.is_shared = ends, paper.shares_teachers
    # Adapters go to the device that they are on, which fake tensors refuse.
    with mock.patch.object(nn.Module, "to", lambda module, *_, **__: module):
        learner = _PlannedOutside(
            student, settings, 1.0, 0, objective.sources, record=paper.displacements
        )
    learner.answers = answers
    optimizer = learner.optimizer
    own, own_step = optimizer.gathering, optimizer.step

    def step(learning_rate: float) -> UpdateReport:
        gc.collect()
        live.take()  # what the last microbatch left
        done = own_step(learning_rate)
        ends("update")
        return done

    optimizer.step = step  # type: ignore[method-assign]

    @contextmanager
    def gathering(source: str) -> Iterator[None]:
        ends("heads and loss")
        with own(source):
            yield
        ends("backward")

    optimizer.gathering = gathering  # type: ignore[method-assign]
    gc.collect()
    found[HELD] = live.now
    scored = objective.score(rollouts_of(paper, names[0]))
    live.take()
    learner.update(objective, scored, 1)
    live.take()
    with _batched_outside(answers):
        count = -(-paper.num_teachers // paper.num_ranks)
        probe = ProbedRollout(scored[0].rollout, PROBED_TOKENS)
        lockstep.probed_logits(student, [probe] * count, 1.0, pad_id=0)
    ends("ledger's probes")
    return found


@contextmanager
def _batched_outside(answers: Answers) -> Iterator[None]:
    """Let the ledger's rollouts become batches of real numbers, which are looked at."""

    def batched(rollouts: Sequence[Rollout], pad_id: int) -> TokenBatch:
        answers.is_off = True
        with unset_fake_temporarily():
            tokens = rollout_batch(rollouts, pad_id)
        answers.is_off = False
        return tokens

    with mock.patch.object(lockstep, "rollout_batch", batched):
        yield


def _teachers(paper: Paper, names: Sequence[str]) -> FrozenModels:
    if paper.shares_teachers:
        return _SharedTeacher(paper, names)
    return ResidentTeachers(dict.fromkeys(names, _model(paper, torch.bfloat16)), 1.0)


class _SharedTeacher:
    """A teacher of which a rank holds its part and the head; it reads a step's microbatches first.

    The part comes from no file.
    """

    def __init__(self, paper: Paper, names: Sequence[str]) -> None:
        with init_empty_weights(include_buffers=False):
            self._model = _model(paper, torch.bfloat16).requires_grad_(requires_grad=False)
        sharded._shard(self._model, torch.device("cpu"))
        head = self._model.get_output_embeddings()
        head.weight = nn.Parameter(
            torch.empty(head.weight.shape, dtype=torch.bfloat16), requires_grad=False
        )
        self.names = sorted(names)
        self._hidden: dict[str, Tensor] = {}
        self._again: dict[str, Tensor] = {}

    @torch.no_grad()
    def begin_step(
        self,
        step: int,
        updates: Sequence[Sequence[ScoreRequest]],
        again: Sequence[ScoreRequest] = (),
    ) -> None:
        """Read every microbatch of a step."""
        self._hidden = {
            name: chosen_hidden(self._model, tokens) for name, tokens in chain(*updates)
        }
        self._again = {name: chosen_hidden(self._model, tokens) for name, tokens in again}

    def hidden(self, model: str, tokens: TokenBatch) -> Tensor:
        """Return the hidden states [N, D] of a teacher's only microbatch."""
        return self._hidden[model]

    def rescore(self, model: str, tokens: TokenBatch) -> Tensor:
        """Return those of the second pass."""
        return self._again[model]

    @torch.no_grad()
    def logits(self, model: str, hidden_CD: Tensor) -> Tensor:
        """Return logits [C, V]."""
        return head_logits(self._model, hidden_CD)


class _Watched(Distillation):
    """An objective that says when its teacher has read a microbatch."""

    ends: Callable[[str], None]
    is_shared: bool

    def begin_step(self, step: int, updates: Sequence[Sequence[Microbatch]]) -> None:
        super().begin_step(step, updates)
        self.ends("teacher's pass")

    def prepare(self, batch: Microbatch) -> ChunkLoss:
        self.ends("student's pass")
        losses = super().prepare(batch)
        # A shared teacher has read it already.
        self.ends("heads and loss" if self.is_shared else "teacher's pass")
        return losses


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
            mock.patch.object(sharded, "init_device_mesh", return_value=mesh),
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
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config_of(paper), dtype=dtype)
    return model


def on_paper() -> list[Row]:
    """Count a step of large models on 8, 16 and 64 GPUs, each in a process of its own.

    In one process later steps count less: FakeTensorMode keeps what it learned of earlier ones.
    """
    rows = []
    for paper in PAPERS:
        counted = in_own_process(step_on_paper, paper)
        rows.append({"paper": vars(paper), "bytes": {name: counted[name] for name in COUNTED}})
    return rows
