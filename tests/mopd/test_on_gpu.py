"""MOPD on a GPU: the numbers of the CPU, a ledger that adds up, a host that does not wait."""

import warnings

import pytest
import torch
from torch import nn

from tasks.ledger.conservation import add_up
from tasks.ledger.reader import Ledger
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.writer import LedgerWriter, digest_weights
from tasks.model.files import Policy
from tasks.model.settings import AdapterSettings, Precision
from tasks.mopd.losses.teacher_term import Chunk, teacher_term
from tasks.mopd.objective import Distillation
from tasks.mopd.routing import Route, Routing
from tasks.mopd.settings import Divergence
from tasks.mopd.teachers import ResidentTeachers
from tasks.onpolicy.learner import Learner
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.settings import LoopSettings
from tasks.rollout.client import LocalEnvironment
from tasks.rollout.domains import DomainShare, Mixture, make_player
from tasks.rollout.environment import Grade, Message, Prompt
from tasks.rollout.settings import SamplingSettings
from tests.mopd.test_learning import settings_of
from tests.support.objective_inputs import random_logits
from tests.support.tiny_models import tiny_model, tokenizer

pytestmark = pytest.mark.gpu
DOMAINS = ("math", "code")
STEPS, TOKENS = 4, 6
FORMS = pytest.mark.parametrize("divergence", list(Divergence))


class Even:
    """One turn, and the same grade for each."""

    max_turns = 1

    def respond(self, prompt, turns):
        return None

    def grade(self, prompt, turns):
        return Grade(1.0)


class Round:
    """A round of tiny models on one device."""

    def __init__(self, device, folder=None, divergence=Divergence.FULL_VOCABULARY, **loop):
        settings = SamplingSettings(max_new_tokens=TOKENS)
        told = {"num_steps": STEPS, "learning_rate": 1e-3, "warmup_steps": 0}
        told = LoopSettings(**told | loop)
        model = nn.Module.to(tiny_model(), device)
        objective = Distillation(
            Routing(Route(domain, domain) for domain in DOMAINS),
            ResidentTeachers(
                {
                    domain: nn.Module.to(tiny_model(seed), device)
                    for seed, domain in enumerate(DOMAINS, start=1)
                },
                1.0,
            ),
            settings_of(divergence),
            told,
            control_ids=[0, 1, 2],
        )
        self.objective = objective
        self.learner = Learner(
            model, told, 1.0, tokenizer().pad_token_id, objective.sources, record=True
        )
        player = make_player(
            {domain: LocalEnvironment(Even()) for domain in DOMAINS},
            Policy(model, tokenizer()),
            settings,
        )
        prompts = [Prompt(f"{n}", (Message("user", "fox" * n),)) for n in range(1, 9)]
        self.source = Mixture(player, [DomainShare(d, prompts, 8) for d in DOMAINS], 1, seed=0)
        self.start = {k: v.cpu().clone() for k, v in self.learner.optimizer.masters().items()}
        self.recorder = None
        if folder is not None:
            kept = LedgerSettings(segment_steps=2, rollouts_per_teacher=2)
            writer = LedgerWriter(folder, kept, self.learner.optimizer, 0)
            self.recorder = LedgerRecorder(writer, 0, last_step=STEPS)

    def step(self, number, rollouts=None):
        """Do one step; return its metrics."""
        rollouts = rollouts or self.source.rollouts(number)
        scored = self.objective.score(rollouts)
        return self.learner.update(self.objective, scored, number, self.recorder)

    def run(self):
        """Do all steps; return their metrics."""
        return [self.step(number) for number in range(1, STEPS + 1)]


@FORMS
def test_a_loss_and_its_gradient_are_those_of_the_cpu(divergence):
    settings = settings_of(divergence)
    found = {}
    for device in ("cpu", "cuda"):
        student, teacher = (random_logits(seed, 300, 700) for seed in (0, 1))
        student[:, 5] = teacher[:, 5] = -torch.inf  # no NaN comes of a token that both rule out
        student = student.to(device).requires_grad_()
        tokens = torch.arange(300, device=device) % 5
        chunk = Chunk(student, teacher.to(device), tokens, torch.full_like(student[:, 0], -2.0))
        term = teacher_term(chunk, settings, [0, 1])
        (back,) = torch.autograd.grad(term.loss_C.sum(), student)
        found[device] = [term.loss_C, back, term.advantage_C, *term.report.values()]
    for ours, expected in zip(found["cuda"], found["cpu"], strict=True):
        torch.testing.assert_close(ours.cpu(), expected, rtol=1e-4, atol=1e-5)


@FORMS
@pytest.mark.parametrize("loop", [{}, {"activation_checkpointing": True}, {"adapter": {"rank": 4}}])
def test_a_round_has_the_numbers_of_the_cpu(divergence, loop):
    if "adapter" in loop:
        loop = {"adapter": AdapterSettings(**loop["adapter"])}
    found, expected = (Round(d, divergence=divergence, **loop).run() for d in ("cuda", "cpu"))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-4)


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("rate", [1e-6, 1e-5, 1e-4])
def test_a_ledger_adds_up_to_the_change_of_the_weights(tmp_path, precision, rate):
    round_ = Round("cuda", tmp_path, precision=precision, learning_rate=rate)
    round_.run()
    end = {name: tensor.cpu() for name, tensor in round_.learner.optimizer.masters().items()}
    ledger = Ledger.open(tmp_path)
    assert ledger.manifest.start == digest_weights(round_.start)
    assert ledger.manifest.end == digest_weights(end)
    files = [ledger.opened(segment) for segment in ledger.manifest.segments]
    found = add_up(ledger.manifest, files, round_.start, end)
    assert found.unexplained == pytest.approx(0.0, abs=1e-9)
    assert 0.3 < found.rounding / found.expected < 3.0
    rows = [row for row in ledger.rows() if row.kl_after is not None]
    assert {row.source for row in rows} == set(DOMAINS)


def test_a_student_in_bf16_computes_with_copies_of_fp32_masters():
    round_ = Round("cuda", precision=Precision.BF16)
    assert all(m["loss"] > 0 and m["sampler_gap"] < 0.1 for m in round_.run())
    masters = round_.learner.optimizer.masters()
    for name, parameter in round_.learner.model.named_parameters():
        assert parameter.dtype is torch.bfloat16
        assert masters[name].dtype is torch.float32
        assert torch.equal(parameter, masters[name].bfloat16())


def test_a_resumed_round_goes_on_with_the_same_numbers(tmp_path):
    whole = Round("cuda")
    expected = whole.run()
    first, second = Round("cuda"), Round("cuda")
    for number in (1, 2):
        first.step(number)
    first.learner.save(tmp_path)
    second.learner.load(tmp_path)
    second.objective.load_state(first.objective.state())
    for number in (3, 4):
        assert second.step(number) == pytest.approx(expected[number - 1], rel=1e-4, abs=1e-5)


_THEIRS = "masking_utils.py"
"""Transformers looks once a pass whether a batch is packed; torch says once that it looks."""


def waits(round_, rollouts, **changed):
    """Return where the host waits for the device in one step on given rollouts, in order."""
    round_.learner.settings = round_.learner.settings.model_copy(update=changed)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            round_.step(2, rollouts)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [
        f"{each.filename}:{each.lineno}"
        for each in seen
        if "called a synchronizing" in str(each.message) and not each.filename.endswith(_THEIRS)
    ]


@FORMS
def test_the_host_does_not_wait_for_a_microbatch(divergence):
    round_ = Round("cuda", divergence=divergence)
    rollouts = round_.source.rollouts(1)
    round_.step(1, rollouts)
    few = waits(round_, rollouts, microbatch_tokens=100_000)
    many = waits(round_, rollouts, microbatch_tokens=40)
    assert many == few
    assert few  # metrics are read at the step's end
