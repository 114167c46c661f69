"""A base of images and text: a text model, a new vision tower, and both trained together.

Kimi K2.5 (2602.02276) trains text and images jointly before any supervised stage. Here a causal LM
gets the tower and projector of a LLaVA with weights drawn from the seed, and reads demonstrations
with and without images, all weights learning.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration

from lineage.artifacts import Artifact
from lineage.records.record import Derivation, Input
from tasks.contracts.refusal import refuse_other_kind
from tasks.model.architecture import body_of
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_policy
from tasks.model.images import reader_in
from tasks.model.saving import save_in
from tasks.platform.measurements import Measurements
from tasks.platform.provenance import source_digest
from tasks.platform.resources import use_configured_threads
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_demonstrations
from tasks.sft.settings import ImageBaseSettings, TowerSettings
from tasks.sft.steps import tokenized
from tasks.sft.train import supervise
from tasks.supervised.trainer_state import states_of
from tasks.supervised.training import Watch, logged

IMAGE = "<image>"
"""Token that holds the place of an image."""


def make_image_base(
    runner: StepRunner,
    start: Artifact,
    data: Sequence[Artifact],
    settings: ImageBaseSettings,
    seed: int,
) -> Artifact:
    """Return the text model ``start`` with a vision tower, trained on demonstrations of both.

    Raises:
        RefusedError: ``other-kind`` for a start other than a policy, or data of another kind.
    """
    refuse_other_kind(start, "checkpoint", "start")
    for item in data:
        refuse_other_kind(item, "dataset", "data")
    derivation = Derivation(
        project=runner.project,
        kind="image_base",
        inputs=(
            Input.of("start", start),
            *(Input.of("data", item, str(place)) for place, item in enumerate(data)),
        ),
        source=source_digest("sft", "supervised"),
        settings=settings.model_dump(mode="json"),
        seed=seed,
    )

    def make(folder: Path, measurements: Measurements) -> Path:
        use_configured_threads()
        policy = with_tower(load_policy(runner.store.tree(start.digest)), settings.tower, seed)
        chat = ChatTokens(policy.tokenizer, images=reader_in(policy.model.config))
        examples = [d for artifact in data for d in stored_demonstrations(runner.store, artifact)]
        random.Random(seed).shuffle(examples)
        watch = Watch(
            logged("image base", settings.training.num_steps, measurements),
            states_of(runner, derivation, measurements),
        )
        rows = [tokenized(chat, example) for example in examples]
        measurements.notes["tokens_trained"] = supervise(
            policy, rows, settings.training, seed, folder / "trainer", watch
        )
        saved = folder / "model"
        measurements.notes["saved"] = save_in(policy, saved, settings.training.saved_precision)
        return saved

    return runner.find_or_make(derivation, "checkpoint", make, owner="foundation")


def with_tower(policy: Policy, settings: TowerSettings, seed: int) -> Policy:
    """Return a text model's weights in a LLaVA; a seed gives the tower and the projector."""
    tokenizer, text = policy.tokenizer, policy.model
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    torch.manual_seed(seed)
    text.resize_token_embeddings(len(tokenizer))
    config = LlavaConfig(
        text_config=text.config,
        vision_config=CLIPVisionConfig(
            image_size=settings.image_size,
            patch_size=settings.patch_size,
            hidden_size=settings.hidden_size,
            intermediate_size=settings.feed_forward_size,
            num_hidden_layers=settings.num_layers,
            num_attention_heads=settings.num_heads,
        ),
        image_token_index=tokenizer.encode(IMAGE, add_special_tokens=False)[0],
        vision_feature_layer=-1,
        tie_word_embeddings=text.config.tie_word_embeddings,
    )
    config.eos_token_id = text.config.eos_token_id
    config.pad_token_id = text.config.pad_token_id
    model = LlavaForConditionalGeneration(config)
    body_of(model).load_state_dict(body_of(text).state_dict())
    if not text.config.tie_word_embeddings:
        model.get_output_embeddings().load_state_dict(text.get_output_embeddings().state_dict())
    return Policy(model.float(), tokenizer)
