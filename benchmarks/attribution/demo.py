"""What an audit of a finished demo costs, and what stands in there for a retrain without a teacher.

Shapes: N tokens of answers, V vocabulary.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lineage.artifacts import Artifact
from tasks.attribution.audit import explain
from tasks.attribution.behavior import Behavior, Said, encode, first_turns
from tasks.attribution.opened import open_models
from tasks.attribution.subject import AuditedStudent, find_subject, plan_of
from tasks.attribution.surgery import reweighed, scale_teachers
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy, save_policy
from tasks.model.log_probs import chosen_logits
from tasks.mopd.counterfactual.recompute import rehearse_round
from tasks.mopd.counterfactual.retrain import plan_retrains, retrain
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts
from tasks.rollout.settings import SamplingSettings

STUDENT = "student@released"
ABSENT = "math"
"""The teacher without whom the demo is retrained, rehearsed and cut."""


def demo(of_a_domain: int = 2) -> dict[str, object]:
    """Audit some of the student's own answers, one at a time, in the home that is set."""
    runner = StepRunner()
    subject = find_subject(runner, STUDENT)
    asked = answers(runner, of_a_domain, subject.checkpoint)
    times = [_timed(partial(explain, runner, STUDENT, [item])) for item in asked]
    models = open_models(runner, subject)

    def cut() -> None:
        changed = reweighed(models.end, subject.ledger, {subject.teachers[0].name: 0.0})
        models.policy.model.load_state_dict(changed, strict=False)
        with tempfile.TemporaryDirectory() as folder:
            save_policy(models.policy, Path(folder, "model"))

    ledger = runner.store.tree(subject.ledger_artifact.digest)
    model = runner.store.tree(subject.checkpoint.digest)
    return {
        "parameters": sum(tensor.numel() for tensor in models.end.values()),
        "behaviors": len(asked),
        "audit_wall_seconds": _most(wall for wall, _ in times),
        "audit_processor_seconds": _most(processor for _, processor in times),
        "surgery_wall_seconds": round(_timed(cut)[0], 2),
        "kl_from_retrain": _stand_ins(runner, subject),
        "bytes": {
            "displacements": sum(file.stat().st_size for file in ledger.glob("segment-*")),
            "kept rollouts": (ledger / "rollouts.jsonl").stat().st_size,
            "model": (model / "model.safetensors").stat().st_size,
        },
    }


def _stand_ins(
    runner: StepRunner, subject: AuditedStudent, of_a_domain: int = 40
) -> dict[str, object]:
    """Return by domain the mean KL from a retrain's words, where it answers, to each stand-in's."""
    [order] = [
        order
        for order in plan_retrains(runner, STUDENT, 1, 0)
        if order.settings.distil.masked == [ABSENT]
    ]
    retrained = retrain(runner, order)
    others = {
        "the student": subject.checkpoint,
        "surgery": scale_teachers(runner, STUDENT, {ABSENT: 0.0}),
        "a rehearsal": rehearse_round(runner, STUDENT, [ABSENT]),
    }
    by_domain: dict[str, list[Behavior]] = {}
    for item in answers(runner, of_a_domain, retrained):
        by_domain.setdefault(item.domain, []).append(item)
    found = {}
    for domain, items in by_domain.items():
        truth_NV = _distributions(runner, retrained, items)
        apart = {
            name: truth_NV - _distributions(runner, made, items) for name, made in others.items()
        }
        found[domain] = {
            name: float(f"{float((truth_NV.exp() * rest_NV).sum(-1).mean()):.3g}")
            for name, rest_NV in apart.items()
        }
    return {"without": ABSENT, "answers": sum(map(len, by_domain.values())), "by_domain": found}


@torch.no_grad()
def _distributions(runner: StepRunner, made: Artifact, items: Sequence[Behavior]) -> Tensor:
    """Return log p [N, V] of every word where the answers' tokens stand."""
    policy = load_policy(runner.store.tree(made.digest))
    tokens = encode(items, ChatTokens(policy.tokenizer), None).tokens
    return chosen_logits(policy.model, tokens).log_softmax(-1)


def answers(runner: StepRunner, count: int, student: Artifact) -> list[Behavior]:
    """Return a student's own answers to ``count`` held-out prompts of each domain."""
    subject = find_subject(runner, STUDENT)
    assert subject.published is not None
    policy = load_policy(runner.store.tree(student.digest))
    sampling = SamplingSettings.model_validate(subject.derivation.settings["sampling"])
    found = []
    for lead in plan_of(runner, subject.published).leads:
        prompts = [
            tuple(
                Said.model_validate({"role": m.role, "content": m.content}) for m in prompt.messages
            )
            for prompt in stored_prompts(runner.store, lead.evaluation)[:count]
        ]
        found += [
            Behavior(prompt=prompt, response=text, domain=lead.domain)
            for prompt, text in zip(prompts, first_turns(policy, prompts, sampling, 0), strict=True)
            if text
        ]
    return found


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def _most(values: Iterable[float]) -> dict[str, float]:
    listed = list(values)
    return {"median": round(statistics.median(listed), 2), "largest": round(max(listed), 2)}
