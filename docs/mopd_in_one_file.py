"""Multi-teacher on-policy distillation (MOPD) on one screen, in plain torch and transformers.

The student samples. Each rollout goes to the one teacher of its domain. The student minimizes the
reverse KL to that teacher at every token that it sampled (MOPD, 2606.30406, equation 1; importance
window: MiMo-V2-Flash, 2601.02780, equation 8):

    L = mean over rollouts y of domain d of  1/|y|  sum over t of  w_t KL(student_t || teacher_d,t)

A test holds ``update`` equal to Provost's engine to 1e-6 after ten steps in float64. The engine
adds what a run of days needs: memory for many teachers, several devices, vLLM, resume, the ledger.

    python docs/mopd_in_one_file.py      # two toy teachers; the KL to each falls

Shapes: B rollouts, S tokens of the longest one, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM


@dataclass(frozen=True)
class Settings:
    """The numbers of a round, with the engine's defaults."""

    learning_rate: float = 1e-3
    warmup_steps: int = 5
    gradient_clip: float = 1.0
    importance_low: float = 0.2
    importance_high: float = 5.0
    """Tokens with a student/sampler probability ratio outside this window are dropped."""


@dataclass(frozen=True)
class Rollouts:
    """What the student sampled for one domain."""

    domain: str
    ids_BS: Tensor
    """Prompt and response, padded on the right."""
    is_response_BS: Tensor
    sampler_BS: Tensor
    """Log-probability of each token when it was sampled; read at response tokens only."""


@torch.no_grad()
def sample(
    student: PreTrainedModel,
    domain: str,
    prompts: Sequence[Sequence[int]],
    num_new_tokens: int,
    generator: torch.Generator,
) -> Rollouts:
    """Return one rollout for each prompt of one length, at temperature 1 without an end token."""
    ids_BS = torch.tensor(prompts)
    sampler_BS = torch.zeros(ids_BS.shape, dtype=student.dtype)
    for _ in range(num_new_tokens):
        log_probs_BV = student(ids_BS).logits[:, -1].log_softmax(-1)
        next_B1 = torch.multinomial(log_probs_BV.exp(), 1, generator=generator)
        ids_BS = torch.cat([ids_BS, next_B1], dim=1)
        sampler_BS = torch.cat([sampler_BS, log_probs_BV.gather(-1, next_B1)], dim=1)
    is_response_BS = torch.arange(ids_BS.shape[1]).expand_as(ids_BS) >= len(prompts[0])
    return Rollouts(domain, ids_BS, is_response_BS, sampler_BS)


def log_probs(model: PreTrainedModel, ids_BS: Tensor) -> Tensor:
    """Return log-probabilities [B, S - 1, V]: entry t predicts token t + 1."""
    return model(ids_BS[:, :-1]).logits.log_softmax(-1)


def reverse_kl(student_BSV: Tensor, teacher_BSV: Tensor) -> Tensor:
    """Return KL(student || teacher) at each token [B, S], in nats, over the whole vocabulary."""
    return (student_BSV.exp() * (student_BSV - teacher_BSV)).sum(-1)


def domain_loss(
    student: PreTrainedModel, teacher: PreTrainedModel, rollouts: Rollouts, settings: Settings
) -> Tensor:
    """Return the sum over one domain's rollouts of their mean loss per response token."""
    student_BSV = log_probs(student, rollouts.ids_BS)
    with torch.no_grad():
        teacher_BSV = log_probs(teacher, rollouts.ids_BS)
    # The sampler may compute otherwise than the learner: weigh each token by p_student / p_sampler.
    tokens_BS1 = rollouts.ids_BS[:, 1:, None]
    own_BS = student_BSV.detach().gather(-1, tokens_BS1).squeeze(-1)
    ratio_BS = (own_BS - rollouts.sampler_BS[:, 1:]).exp()
    inside_BS = (ratio_BS >= settings.importance_low) & (ratio_BS <= settings.importance_high)
    weight_BS = torch.where(inside_BS, ratio_BS, 0.0)

    mask_BS = rollouts.is_response_BS[:, 1:]
    loss_BS = torch.where(mask_BS, weight_BS * reverse_kl(student_BSV, teacher_BSV), 0.0)
    return (loss_BS.sum(-1) / mask_BS.sum(-1)).sum()


def make_optimizer(student: PreTrainedModel, settings: Settings) -> torch.optim.AdamW:
    """Return AdamW as the engine has it."""
    return torch.optim.AdamW(
        student.parameters(), settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
    )


def update(
    student: PreTrainedModel,
    teachers: Mapping[str, PreTrainedModel],
    batch: Sequence[Rollouts],
    optimizer: torch.optim.AdamW,
    step: int,
    settings: Settings,
) -> float:
    """Do one optimizer step (the first is 1) on rollouts of all domains; return the mean loss."""
    num_rollouts = sum(len(rollouts.ids_BS) for rollouts in batch)
    loss = torch.zeros((), dtype=student.dtype)
    for rollouts in batch:
        teacher = teachers[rollouts.domain]  # hard routing: one teacher for each rollout
        loss = loss + domain_loss(student, teacher, rollouts, settings) / num_rollouts
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), settings.gradient_clip)
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * min(1.0, step / (settings.warmup_steps + 1))
    optimizer.step()
    return loss.item()


def toy_model(seed: int) -> PreTrainedModel:
    """Return a small model with random weights."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.1}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=64, **sizes, **heads)).eval()


def main() -> None:
    """Distill two toy teachers into one student."""
    student, teachers = toy_model(0), {"math": toy_model(1), "code": toy_model(2)}
    prompts = {"math": [[1, n, 5] for n in range(8)], "code": [[2, n, 5] for n in range(8)]}
    settings, generator = Settings(), torch.Generator().manual_seed(0)
    optimizer = make_optimizer(student, settings)
    for step in range(1, 101):
        batch = [sample(student, domain, rows, 8, generator) for domain, rows in prompts.items()]
        loss = update(student, teachers, batch, optimizer, step, settings)
        if step % 20 == 1:
            print(f"step {step:3d}  reverse KL {loss:.4f} nats per token")  # noqa: T201


if __name__ == "__main__":
    main()
