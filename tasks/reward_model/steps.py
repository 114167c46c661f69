"""The step: a reward model from a policy and comparisons, with its accuracy on other prompts."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import StageLabel
from tasks.contracts.refusal import refuse_other_kind
from tasks.model.chat import ChatTokens, Tokens
from tasks.model.files import Policy, load_tokenizer, write_policy
from tasks.model.saving import save_in
from tasks.model.scalar_head import with_scalar_head
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.reward_model.groups import groups_of, split
from tasks.reward_model.held_out import pair_accuracy
from tasks.reward_model.settings import RewardModelSettings
from tasks.reward_model.train import MEASURED, responses_of, train_groups
from tasks.rollout.domains import stored_comparisons, stored_demonstrations
from tasks.rollout.responses import COMPARISONS
from tasks.scoring.reward_model import (
    REWARD_MODEL,
    RewardModel,
    RewardModelScorer,
    episode_tokens,
    load_reward_model,
)
from tasks.supervised.comparisons import decided
from tasks.supervised.trainer_state import states_of
from tasks.supervised.training import Watch, logged, refuse_system_prompt


class RewardData(NamedTuple):
    """The data sets of a reward model."""

    comparisons: Sequence[Artifact]
    demonstrations: Sequence[Artifact] = ()
    """Examples that shall score 0 on average; without any, the zero has no meaning."""


def train_reward_model(
    runner: StepRunner,
    start: Artifact,
    data: RewardData,
    settings: RewardModelSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Return a reward model with the body of ``start``, trained on comparisons.

    Raises:
        RefusedError: ``other-kind``, ``only-ties``, ``same-response``, ``no-comparison``,
            ``no-held-out-comparison``, ``comparison-too-long``, ``no-reward-head`` or
            ``unread-system-prompt``.
    """
    _refuse_other_kinds(start, data)
    refuse_system_prompt(stage)
    derivation = Derivation(
        project=runner.project,
        kind=REWARD_MODEL,
        inputs=(
            Input.of("start", start),
            *_inputs("comparisons", data.comparisons),
            *_inputs("data", data.demonstrations),
        ),
        source=source_digest(REWARD_MODEL, "supervised", "scoring", "statistics"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report(stage.name, 0, settings.num_steps, message="load")
        begun = runner.store.tree(start.digest)
        tokenizer = load_tokenizer(begun)
        chat = ChatTokens(tokenizer)
        if tokenizer.pad_token is None:  # the head looks for the last token before the padding
            tokenizer.pad_token = str(tokenizer.convert_ids_to_tokens(chat.pad_id))
        given = [p for item in data.comparisons for p in stored_comparisons(runner.store, item)]
        kept, held = (
            groups_of(pairs, chat)
            for pairs in split(decided(given), settings.held_out_share, settings.least_strength)
        )
        reward_model = RewardModel(with_scalar_head(begun, seed, chat.pad_id), tokenizer)
        watch = Watch(
            logged(stage.name, settings.num_steps, measurements),
            states_of(runner, derivation, measurements),
            MEASURED,
        )
        measurements.notes["tokens_trained"] = train_groups(
            reward_model, kept, settings, seed, folder / "trainer", watch
        )
        scorer = RewardModelScorer(reward_model)
        if held:
            scores = scorer.score_tokens(responses_of(held))
            measurements.add(settings.num_steps, pair_accuracy(held, scores))
        if data.demonstrations:
            examples = _examples(runner, data, chat)
            reward_model.shift(-fmean(scorer.score_tokens(examples)))
        saved = folder / "model"
        whole, precision = Policy(reward_model.model, tokenizer), settings.saved_precision
        measurements.notes["saved"] = save_in(whole, saved, precision, write_policy)
        load_reward_model(saved)  # before a record says that it is finished
        return saved

    return runner.find_or_make(derivation, REWARD_MODEL, make, stage.owner)


def _refuse_other_kinds(start: Artifact, data: RewardData) -> None:
    refuse_other_kind(start, "checkpoint", "start")
    for item in data.comparisons:
        refuse_other_kind(item, COMPARISONS, "comparisons")
    for item in data.demonstrations:
        refuse_other_kind(item, "dataset", "data")


def _examples(runner: StepRunner, data: RewardData, chat: ChatTokens) -> list[Tokens]:
    return [
        episode_tokens(chat, example.messages, example.turns, example.mode)
        for item in data.demonstrations
        for example in stored_demonstrations(runner.store, item)
    ]


def _inputs(role: str, items: Sequence[Artifact]) -> tuple[Input, ...]:
    return tuple(Input.of(role, item, str(place)) for place, item in enumerate(items))
