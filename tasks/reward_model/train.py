"""Bradley-Terry training on TRL's RewardTrainer, with all comparisons of a prompt together.

Loss of a prompt with K responses, InstructGPT (2203.02155) equation 1, with the margin m of
Llama 2 (2307.09288) equation 2: the mean over its pairs of -log sigmoid(r_chosen - r_rejected - m).
The loss of a batch is the mean over its prompts, so a prompt with many pairs counts once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import PreTrainedModel
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from tasks.model.chat import Tokens
from tasks.reward_model.groups import MARGINS, ComparedGroup
from tasks.reward_model.settings import RewardModelSettings
from tasks.scoring.reward_model import RewardModel, padded, refuse_too_long
from tasks.supervised.optimizers import optimizers_of
from tasks.supervised.training import PLAIN, Watch, configured, run_trainer

MEASURED = PLAIN | {name: name for name in ("accuracy", "margin", "reward", "length_gap")}


def train_groups(
    reward_model: RewardModel,
    groups: Sequence[ComparedGroup],
    settings: RewardModelSettings,
    seed: int,
    scratch: Path,
    watch: Watch,
) -> int:
    """Train the model in place on comparisons by prompt; return the number of tokens trained.

    A run that was killed goes on from its last state, to the same bits.

    Raises:
        RefusedError: ``comparison-too-long`` for a response longer than the model's positions.
    """
    model = reward_model.model.float()  # bf16 weights would lose most of a small update
    refuse_too_long(model, responses_of(groups), "comparison-too-long")
    margins = MARGINS[settings.margin]
    data = Dataset.from_list(
        [
            {
                "responses": [list(response.ids) for response in group.responses],
                "lengths": [sum(response.is_response) for response in group.responses],
                "chosen": [pair.chosen for pair in group.pairs],
                "rejected": [pair.rejected for pair in group.pairs],
                "margins": [margins[pair.strength] for pair in group.pairs],
            }
            for group in groups
        ]
    )
    optimizers = optimizers_of(model, settings)
    trainer = GroupTrainer(
        model=model,
        args=configured(RewardConfig, settings, seed, scratch)(
            max_length=None, remove_unused_columns=False
        ),
        train_dataset=data,
        data_collator=Collator(int(model.config.pad_token_id)),
        processing_class=reward_model.tokenizer,
        optimizers=optimizers,
    )
    return run_trainer(trainer, optimizers, watch)


class Collator:
    """Brings the groups of a batch together: all responses as rows, all pairs by their rows."""

    def __init__(self, pad_id: int) -> None:
        """Fill rows up with ``pad_id``."""
        self._pad_id = pad_id

    def __call__(self, groups: Sequence[Mapping[str, list]]) -> dict[str, Tensor]:  # type: ignore[type-arg]
        """Return a batch; ``weight`` of a pair is 1 / (pairs of its prompt x prompts)."""
        rows = [response for group in groups for response in group["responses"]]
        chosen: list[int] = []
        rejected: list[int] = []
        weights: list[float] = []
        first = 0
        for group in groups:
            chosen += [first + place for place in group["chosen"]]
            rejected += [first + place for place in group["rejected"]]
            weights += [1 / len(group["chosen"]) / len(groups)] * len(group["chosen"])
            first += len(group["responses"])
        lengths = torch.tensor([n for group in groups for n in group["lengths"]]).float()
        return {
            **padded(rows, self._pad_id),
            "chosen": torch.tensor(chosen),
            "rejected": torch.tensor(rejected),
            "margin": torch.tensor([m for group in groups for m in group["margins"]]),
            "weight": torch.tensor(weights),
            "length_gap": lengths[chosen] - lengths[rejected],
        }


class GroupTrainer(RewardTrainer):
    """TRL's trainer of reward models with a batch of groups in the place of pairs."""

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        """Leave the data as it is: it is tokenized, and refused where it is too long."""
        return dataset

    def compute_loss(  # type: ignore[override]
        self,
        model: PreTrainedModel,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - as transformers calls it
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch."""
        assert not return_outputs, "only an evaluation of the trainer's own would need them"
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        rewards = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, 0].float()
        lead = rewards[inputs["chosen"]] - rewards[inputs["rejected"]]
        weight = inputs["weight"]
        self._total_train_tokens += int(mask.sum())
        measured = {
            "accuracy": (weight * (lead > 0)).sum(),
            "margin": (weight * lead.detach()).sum(),
            "reward": rewards.detach().mean(),
            "length_gap": (weight * inputs["length_gap"]).sum(),
        }
        for name, value in measured.items():
            self._metrics["train"][name].append(value.item())
        return bradley_terry(lead, inputs["margin"], weight)


def bradley_terry(lead: Tensor, margin: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted sum over pairs of -log sigmoid(lead - margin)."""
    return -(weight * logsigmoid(lead - margin)).sum()


def responses_of(groups: Sequence[ComparedGroup]) -> list[Tokens]:
    """Return all responses of the groups, one group after the other."""
    return [response for group in groups for response in group.responses]
