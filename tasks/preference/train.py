"""DPO on TRL's DPOTrainer, with our tokens, our masks and our loss.

TRL tokenizes a pair by its own call of the template and knows one mask, from the end of the prompt
on. Here a response may have several turns with tool answers between them, which are not learned,
and control tokens may count in the likelihood without being compared. So three methods of the
trainer are replaced: how it prepares data, log-probabilities of the reference, and the loss.
Shapes: P comparisons, 2P rows (the chosen ones first), S tokens of the padded sequence.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from tasks.contracts.refusal import RefusedError
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy
from tasks.preference.loss import ComparisonBatch, SideLogProbs, measured, preference_loss
from tasks.preference.settings import PreferenceSettings
from tasks.scoring.reward_model import filled, padded, refuse_too_long
from tasks.supervised.comparisons import TokenPair
from tasks.supervised.optimizers import optimizers_of
from tasks.supervised.training import PLAIN, Watch, configured, run_trainer

_OURS = ("margin", "accuracy", "log_prob_chosen", "log_prob_rejected", "likelihood", "drift")
MEASURED = PLAIN | {name: name for name in _OURS}
_SIDES = ("chosen", "rejected")


class ReferencedPolicy(NamedTuple):
    """A policy, and the frozen model that holds it back."""

    policy: Policy
    reference: PreTrainedModel | None = None
    """None takes the policy as it is before the first step."""


def prefer(
    models: ReferencedPolicy,
    pairs: Sequence[TokenPair],
    settings: PreferenceSettings,
    seed: int,
    scratch: Path,
    watch: Watch,
) -> int:
    """Train the policy in place on comparisons; return the number of tokens trained.

    The reference's log-probabilities are computed once, before the first step. A run that was
    killed goes on from its last state, to the same bits.

    Raises:
        RefusedError: ``comparison-too-long`` for a response longer than the model's positions,
            ``nothing-compared`` for one of nothing but masked tokens.
    """
    policy = models.policy
    chat = ChatTokens(policy.tokenizer)
    masked = frozenset(chat.control_ids) if settings.mask_control_tokens else frozenset[int]()
    rows = [{side: _row(getattr(pair, side), masked) for side in _SIDES} for pair in pairs]
    refuse_too_long(
        policy.model,
        [tokens for pair in pairs for tokens in (pair.chosen, pair.rejected)],
        "comparison-too-long",
    )
    model = policy.model.float()  # bf16 weights would lose most of a small update
    optimizers = optimizers_of(model, settings)
    trainer = PairTrainer(
        model=model,
        ref_model=models.reference,
        args=configured(DPOConfig, settings, seed, scratch)(
            max_length=None, remove_unused_columns=False, precompute_ref_log_probs=True
        ),
        train_dataset=Dataset.from_list(rows),
        data_collator=PairCollator(chat.pad_id),
        processing_class=policy.tokenizer,
        optimizers=optimizers,
    )
    trainer.settings = settings
    return run_trainer(trainer, optimizers, watch)


def _row(tokens: Tokens, masked: frozenset[int]) -> dict[str, list[int]]:
    """Return a response behind its prompt, with both masks.

    Raises:
        RefusedError: ``nothing-compared`` if every token of the response is masked.
    """
    written = [int(is_response) for is_response in tokens.is_response]
    compared = [
        int(is_response and token not in masked)
        for token, is_response in zip(tokens.ids, tokens.is_response, strict=True)
    ]
    if not any(compared):
        raise RefusedError(
            "nothing-compared",
            "a response has only control tokens, and these are left out of the comparison: remove "
            "it, or set mask_control_tokens to false",
        )
    return {"ids": list(tokens.ids), "written": written, "compared": compared}


class PairCollator:
    """Brings comparisons together: all chosen responses as rows, then all rejected ones."""

    def __init__(self, pad_id: int) -> None:
        """Fill rows up with ``pad_id``."""
        self._pad_id = pad_id

    def __call__(self, pairs: Sequence[Mapping[str, Mapping[str, list[int]]]]) -> dict[str, Tensor]:
        """Return a batch: ids and masks [2P, S], and the reference's sums [P] where known."""
        rows = [pair[side] for side in _SIDES for pair in pairs]
        batch = padded([row["ids"] for row in rows], self._pad_id)
        for name in ("written", "compared"):
            batch[name] = filled([row[name] for row in rows], 0)
        for side in _SIDES:
            if _reference(side) in pairs[0]:
                batch[_reference(side)] = torch.tensor([pair[_reference(side)] for pair in pairs])
        return batch


def _reference(side: str) -> str:
    """Return the name of the column with the reference's log-probabilities of a side."""
    return f"reference_{side}"


class PairTrainer(DPOTrainer):
    """TRL's trainer of DPO with the data and the loss of this module."""

    settings: PreferenceSettings

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        """Leave the data as it is: it is tokenized, and refused where it is too long."""
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """Add the reference's log-probabilities to the data, and let go of the reference."""
        model = cast("PreTrainedModel", self.ref_model or self.model).eval()
        sums: dict[str, list[float]] = {side: [] for side in _SIDES}
        for first in range(0, len(dataset), batch_size):
            places = range(first, min(first + batch_size, len(dataset)))
            batch = self._prepare_inputs(self.data_collator([dataset[place] for place in places]))
            with torch.no_grad(), self.accelerator.autocast():
                log_probs, compared = self._log_probs(model, batch)
            for side, values in zip(_SIDES, (log_probs * compared).sum(1).chunk(2), strict=True):
                sums[side] += values.tolist()
        self.ref_model = None
        for side in _SIDES:
            dataset = dataset.add_column(_reference(side), sums[side])
        return dataset

    def _log_probs(self, model: PreTrainedModel, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the log-probability of each written token [2P, S - 1], and which are compared."""
        ids, written = batch["input_ids"], batch["written"]
        log_probs = model(
            input_ids=ids,
            attention_mask=batch["attention_mask"],
            labels=ids.masked_fill(written == 0, -100),
            use_cache=False,
            fused_lm_head=True,  # TRL's: no logits of the whole batch
        ).log_probs
        return [log_probs[:, 1 - ids.shape[1] :], batch["compared"][:, 1:]]

    def _compute_loss(
        self, model: PreTrainedModel, inputs: Mapping[str, Tensor], return_outputs: object
    ) -> Tensor:
        """Return the loss of a batch and keep what is measured of it."""
        assert not return_outputs, "only an evaluation of the trainer's own would need them"
        log_probs, compared = self._log_probs(model, inputs)
        sums, counts = (log_probs * compared).sum(1).chunk(2), compared.sum(1).chunk(2)
        chosen, rejected = (
            SideLogProbs(sums[place], inputs[_reference(side)], counts[place])
            for place, side in enumerate(_SIDES)
        )
        written = inputs["written"][:, 1:].chunk(2)[0].sum(1)
        likelihood = log_probs.chunk(2)[0].sum(1) / written
        batch = ComparisonBatch(chosen, rejected, likelihood)
        self._total_train_tokens += int(inputs["attention_mask"].sum())
        for name, value in measured(batch, self.settings).items():
            self._metrics["train"][name].append(value)
        return preference_loss(batch, self.settings)
