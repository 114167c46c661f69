"""The learner: a step's rollouts become updates of the policy, each split by source.

Shapes: N response tokens of a microbatch, C of a chunk of it, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.ledger.split_adamw import AdamWConstants, SplitAdamW
from tasks.ledger.tensor_file import write_whole_tensors
from tasks.model.architecture import (
    adapter_targets,
    checkpointed,
    share_of_experts,
    vocabulary_size,
)
from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.kernels.unread_tokens import reads_prefixes_once
from tasks.model.log_probs import (
    chosen_hidden,
    chunks,
    head_logits,
    hidden_log_probs,
)
from tasks.model.lora import add_adapter
from tasks.model.settings import Precision
from tasks.model.shards import to_fp32
from tasks.onpolicy.distributed.lockstep import ProbedRollout, probed_logits
from tasks.onpolicy.distributed.sharding import Head, shard, whole_head
from tasks.onpolicy.ledger_recorder import LedgerRecorder
from tasks.onpolicy.microbatch import Microbatch, ScoredRollout, idle_tokens
from tasks.onpolicy.objective import ChunkLoss, TokenLoss, UpdateLosses
from tasks.onpolicy.settings import LoopSettings, Normalization, microbatch_tokens_on
from tasks.onpolicy.step_metrics import Report
from tasks.onpolicy.step_plan import (
    deal,
    padding,
    plan_step,
    split_for_updates,
    token_scales,
)
from tasks.platform.progress import report
from tasks.platform.ranks import num_ranks, rank, union_over_ranks


def prepare(model: PreTrainedModel, settings: LoopSettings) -> torch.dtype | None:
    """Prepare a model for training, in place.

    Adapters are added if they are configured. Trained weights become fp32, and shards if there are
    several ranks; frozen weights take the compute precision. Buffers keep their precision, because
    rotary frequencies must not be rounded.

    Returns:
        The precision of the copies that the optimizer leaves in the model; None if the
        model holds the masters, as shards do, which are cast when they are gathered.
    """
    compute = torch.bfloat16 if settings.precision is Precision.BF16 else torch.float32
    if settings.adapter is not None:
        if share := share_of_experts(model):
            report("adapter", 0, 0, message=f"warning: {WITHOUT_EXPERTS.format(share=share)}")
        add_adapter(model, settings.adapter)

    def cast(parameter: nn.Parameter) -> None:
        trains = parameter.requires_grad
        parameter.data = to_fp32(parameter.data) if trains else parameter.data.to(compute)

    for parameter in model.parameters():
        # Several ranks cast a layer when they cut it: a loaded model is a view of its files, and no
        # rank holds a whole one in fp32. Norms are tried below, in the precision that they get.
        if num_ranks() == 1 or parameter.dim() < 2:
            cast(parameter)
    write_norms_by_hand(model)
    if num_ranks() > 1:
        shard(model, compute, cast)
        return None
    return compute if compute is not torch.float32 else None


WITHOUT_EXPERTS = (
    "LoRA adapters leave the model's experts as they are, {share:.0%} of its weights: train all "
    "weights (adapter None, student_adapter_rank 0) if the experts are to learn"
)
_STATE = "optimizer.safetensors"


class Learner:
    """A policy and its optimizer."""

    def __init__(
        self,
        model: PreTrainedModel,
        settings: LoopSettings,
        temperature: float,
        pad_id: int,
        sources: Sequence[str],
        *,
        record: bool = False,
    ) -> None:
        """Make the optimizer over the model's parameters.

        Args:
            model: The policy; it is changed in place, and sharded if there are several ranks.
            settings: Settings of the loop.
            temperature: Temperature of sampling; log-probabilities are taken at it.
            pad_id: Id of the padding token.
            sources: Names of all sources of the objective.
            record: Whether each source's part of the updates is summed for a ledger.
        """
        self.model, self.settings = model, settings
        self._temperature, self._pad_id = temperature, pad_id
        self.adapted = adapter_targets(model) if settings.adapter is not None else []
        copies_in = prepare(model, settings)
        self.optimizer = SplitAdamW(
            {name: p for name, p in model.named_parameters() if p.requires_grad},
            sources,
            AdamWConstants(
                weight_decay=settings.weight_decay, gradient_clip=settings.gradient_clip
            ),
            record=record,
            copies_in=copies_in,
        )

    def update(
        self,
        objective: UpdateLosses,
        scored: Sequence[ScoredRollout],
        step: int,
        recorder: LedgerRecorder | None = None,
    ) -> dict[str, float]:
        """Run a step's inner updates on its scored rollouts and return their metrics.

        ``recorder`` gets every chunk and update, for a ledger. A step that its objective left
        without rollouts has no update.
        """
        settings = self.settings
        if not scored:
            objective.begin_step(step, [])
            return {"skipped_update": 1.0, **objective.end_step(step)}
        plans = self._plans(scored, step)
        updates = [deal(plan, rank(), num_ranks()) for plan in plans]
        learning_rate = settings.learning_rate * min(1.0, step / (settings.warmup_steps + 1))
        objective.begin_step(step, [[m for m in update if m is not None] for update in updates])
        if recorder is not None:
            recorder.begin_step(step, scored)
        report = Report()
        for plan, microbatches in zip(plans, updates, strict=True):
            with checkpointed(self.model) if settings.activation_checkpointing else nullcontext():
                for microbatch in microbatches:
                    self._backward(objective, microbatch, report, recorder)
            try:
                done = self.optimizer.step(learning_rate)
            except FloatingPointError as error:
                raise FloatingPointError(f"step {step}: {error}") from error
            report.add_update(done, padding(plan))
            if recorder is not None:
                recorder.add_update(done)
        if recorder is not None:
            recorder.end_step(self._probed)
        return {**report.means(), **objective.end_step(step)}

    def _plans(self, scored: Sequence[ScoredRollout], step: int) -> list[list[Microbatch]]:
        """Return the microbatches of each of a step's updates."""
        settings = self.settings
        longest = max(item.length for item in scored)
        parts = [
            part
            for epoch in range(settings.inner_epochs)
            for part in split_for_updates(scored, settings.inner_updates, step, epoch)
        ]
        plans = [
            plan_step(
                part,
                settings.normalization,
                settings.microbatch_tokens or default_microbatch(self.model.device),
                self._pad_id,
                num_ranks(),
                reads_prefixes_once=reads_prefixes_once(self.model, longest),
            )
            for part in parts
        ]
        is_global = settings.normalization is Normalization.GLOBAL_BATCH
        scales = token_scales(parts) if is_global else [{}] * len(parts)
        return [
            [
                replace(
                    batch, update_index=index, weights_N=batch.weights_N * of.get(batch.term, 1)
                )
                for batch in plan
            ]
            for index, (plan, of) in enumerate(zip(plans, scales, strict=True))
        ]

    def _probed(self, probes: Sequence[ProbedRollout]) -> list[Tensor]:
        """Return the policy's logits of this rank's probes, as it is now. Collective."""
        return probed_logits(self.model, probes, self._temperature, self._pad_id)

    def save(self, folder: Path) -> None:
        """Write the learner's complete state, so that other ranks can resume it. Collective."""
        write_whole_tensors(folder / _STATE, self.optimizer.state())

    def load(self, folder: Path) -> None:
        """Resume from what ``save`` wrote, bit for bit."""
        self.optimizer.load_state(load_file(folder / _STATE))

    def _backward(
        self,
        objective: UpdateLosses,
        batch: Microbatch | None,
        report: Report,
        recorder: LedgerRecorder | None,
    ) -> None:
        """Run the body once; then the head and the losses chunk by chunk; then back through all.

        The gradient of the hidden states is accumulated over chunks, so the logits of a microbatch
        never exist in full, forward or backward, and the body runs backward once per source. A rank
        without a microbatch of its own takes the same passes as the others, without a loss.
        """
        device = self.model.device
        batch = batch.to(device) if batch is not None else None
        tokens = batch.tokens if batch is not None else idle_tokens(self._pad_id).to(device)
        hidden_ND = chosen_hidden(self.model, tokens)
        back_ND: dict[str, Tensor] = {}
        with whole_head(self.model, self.optimizer, hidden_ND.dtype) as head:
            if batch is not None:
                own = partial(
                    hidden_log_probs,
                    self.model,
                    hidden_ND.detach(),
                    batch.tokens.tokens_N,
                    self._temperature,
                )
                losses = objective.prepare(replace(batch, student_log_probs=own))
                for chunk in chunks(hidden_ND, vocabulary_size(self.model)):
                    leaf_CD = hidden_ND[chunk].detach().requires_grad_()
                    loss = self._losses(leaf_CD, batch, losses, chunk, recorder, report)
                    for source, back_CD in _backward_head(head, leaf_CD, batch, loss, chunk):
                        if source not in back_ND:
                            back_ND[source] = torch.zeros_like(hidden_ND)
                        back_ND[source][chunk] = back_CD
                    report.add_chunk(loss, batch, chunk)
            sources = union_over_ranks(back_ND, self.optimizer.sources)
            head.give(sources)
        for place, source in enumerate(sources, start=1):
            gradient_ND = back_ND[source] if source in back_ND else torch.zeros_like(hidden_ND)
            with self.optimizer.gathering(source):
                hidden_ND.backward(gradient_ND, retain_graph=place < len(sources))

    def _losses(
        self,
        leaf_CD: Tensor,
        batch: Microbatch,
        losses: ChunkLoss,
        chunk: slice,
        recorder: LedgerRecorder | None,
        report: Report,
    ) -> TokenLoss:
        student_CV = head_logits(self.model, leaf_CD, self._temperature)
        report.add_gap(student_CV, batch, chunk)
        loss = losses(student_CV, chunk)
        if recorder is not None:
            recorder.add_chunk(batch, chunk, student_CV, loss)
        return loss


def _backward_head(
    head: Head, leaf_CD: Tensor, batch: Microbatch, loss: TokenLoss, chunk: slice
) -> Iterator[tuple[str, Tensor]]:
    """Yield each source's gradient of a chunk's losses at its hidden states."""
    for place, (source, loss_C) in enumerate(loss.by_source.items(), start=1):
        (batch.weights_N[chunk] * loss_C).sum().backward(retain_graph=place < len(loss.by_source))
        head.take(source)
        if leaf_CD.grad is None:
            raise RuntimeError(f"the loss of {source!r} does not depend on the student")
        yield source, leaf_CD.grad
        leaf_CD.grad = None


def default_microbatch(device: torch.device) -> int:
    """Return the tokens of a microbatch, padding included, where the settings name none."""
    return microbatch_tokens_on(on_gpu=device.type != "cpu")
