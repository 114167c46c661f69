"""The step: a policy from another one and comparisons, held back by a frozen reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from lineage.records.system_prompt import store_system_prompt, system_prompt_inputs
from tasks.contracts.handover import StageLabel
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_model, load_policy, load_tokenizer
from tasks.model.identity import differences
from tasks.model.saving import save_in
from tasks.model.system_prompt import chat_tokens
from tasks.platform.measurements import Measurements
from tasks.platform.progress import report
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.preference.settings import PreferenceSettings
from tasks.preference.train import MEASURED, ReferencedPolicy, prefer
from tasks.rollout.domains import stored_comparisons
from tasks.rollout.responses import COMPARISONS
from tasks.supervised.comparisons import TokenPair, decided, is_at_least, token_pair
from tasks.supervised.trainer_state import states_of
from tasks.supervised.training import Watch, logged


class PreferenceData(NamedTuple):
    """What a policy learns preferences from."""

    comparisons: Sequence[Artifact]
    reference: Artifact | None = None
    """The frozen checkpoint that holds the policy back; None for the start."""


def learn_preferences(
    runner: StepRunner,
    start: Artifact,
    data: PreferenceData,
    settings: PreferenceSettings,
    seed: int,
    stage: StageLabel,
) -> Artifact:
    """Return ``start`` trained by DPO on comparisons.

    Raises:
        RefusedError: ``other-kind``, ``only-ties``, ``no-comparison``, ``missing-side``,
            ``same-response``, ``comparison-too-long``, ``nothing-compared`` or
            ``other-tokenizer``.
    """
    reference = data.reference or start
    refuse_other_kind(start, "checkpoint", "start")
    refuse_other_kind(reference, "checkpoint", "reference")
    for item in data.comparisons:
        refuse_other_kind(item, COMPARISONS, "comparisons")
    derivation = Derivation(
        project=runner.project,
        kind="preference",
        inputs=(
            Input.of("start", start),
            Input.of("reference", reference),
            *(Input.of("comparisons", c, str(n)) for n, c in enumerate(data.comparisons)),
            *system_prompt_inputs(stage.system_prompt),
        ),
        source=source_digest("preference", "supervised", "scoring"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )
    store_system_prompt(runner.store, stage.system_prompt)

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        report(stage.name, 0, settings.num_steps, message="load")
        policy = load_policy(runner.store.tree(start.digest))
        pairs = _pairs(runner, data, settings, chat_tokens(policy.tokenizer, stage.system_prompt))
        held_by = None
        if reference.digest != start.digest:
            held_by = _reference(runner.store.tree(reference.digest), policy)
        watch = Watch(
            logged(stage.name, settings.num_steps, measurements),
            states_of(runner, derivation, measurements),
            MEASURED,
        )
        models = ReferencedPolicy(policy, held_by)
        measurements.notes["tokens_trained"] = prefer(
            models, pairs, settings, seed, folder / "trainer", watch
        )
        saved = folder / "model"
        measurements.notes["saved"] = save_in(policy, saved, settings.saved_precision)
        return saved

    return runner.find_or_make(derivation, "checkpoint", make, stage.owner)


def _pairs(
    runner: StepRunner, data: PreferenceData, settings: PreferenceSettings, chat: ChatTokens
) -> list[TokenPair]:
    given = [pair for item in data.comparisons for pair in stored_comparisons(runner.store, item)]
    kept = [pair for pair in decided(given) if is_at_least(pair, settings.least_strength)]
    if not kept:
        raise RefusedError(
            "no-comparison",
            f"no comparison is at least {settings.least_strength.value!r}: set a weaker "
            "least_strength, or give stronger comparisons",
        )
    return [token_pair(pair, chat) for pair in kept]


def _reference(folder: Path, policy: Policy) -> PreTrainedModel:
    """Return the reference's model.

    Raises:
        RefusedError: ``other-tokenizer`` if it would read other tokens than the policy.
    """
    if found := differences(policy.tokenizer, load_tokenizer(folder)):
        raise RefusedError(
            "other-tokenizer",
            f"the reference differs from the start in {', '.join(found)}, so its probabilities "
            "are of other tokens: take a reference with the start's tokenizer and template",
        )
    model = load_model(folder)
    model.float()  # as the policy is
    return model
