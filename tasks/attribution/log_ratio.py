"""The log-ratio of each teacher over the start, by which an audit names teachers.

A teacher with a system prompt is scored as it scored in the round: behind the system prompt, on
behaviors of its domain. A behavior without a domain may be of its domain, so it counts as one.

Shapes: T teachers, B behaviors.
"""

import torch
from torch import Tensor

from tasks.attribution.behavior import encode
from tasks.attribution.opened import load_weights
from tasks.attribution.path_integral import Split
from tasks.attribution.subject import AuditedStudent, AuditedTeacher
from tasks.attribution.trajectory import Weights
from tasks.model.files import Policy
from tasks.model.system_prompt import SystemPrompted
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import positions_of


def log_ratios(runner: StepRunner, subject: AuditedStudent, split: Split, policy: Policy) -> Tensor:
    """Return each teacher's log-ratio over the start for each behavior [T, B], in nats.

    Raises:
        RefusedError: for a behavior that does not fit behind a teacher's system prompt.
    """
    begun_B = split.begun()
    rows = []
    for teacher in subject.teachers:
        weights = load_weights(runner, teacher.checkpoint)
        under_B = split.under_model(weights)
        if text := teacher.system_prompt(runner.store):
            under_B = _behind(text, teacher, split, policy, weights, under_B)
        rows.append(under_B - begun_B)
    return torch.stack(rows)


def _behind(
    text: str,
    teacher: AuditedTeacher,
    split: Split,
    policy: Policy,
    weights: Weights,
    under_B: Tensor,
) -> Tensor:
    """Return the log-probabilities with the system prompt where the teacher reads it."""
    chat = SystemPrompted(policy.tokenizer, text)
    own_B = torch.tensor([item.domain in ("", teacher.domain) for item in split.behaviors])
    found = []
    for batch in split.batches:
        encoded = encode(batch.encoded.behaviors, chat, positions_of(policy))
        found.append(encoded.total(batch.scorer.on(encoded.tokens).log_probs_of(weights)))
    return torch.where(own_B, torch.cat(found), under_B)
