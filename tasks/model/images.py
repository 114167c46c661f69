"""Images of a prompt: tokens that hold their places, and pixels as the model reads them.

An image-text model here is a LLaVA of transformers: the patches of a vision tower are projected to
embeddings of a causal LM, in the places of a token of their own. Its images all have one size, so
each takes the same number of tokens.

An image's token that the policy itself writes stays text: only a prompt's own images have places.

Shapes: I images, C channels, H height, W width; B rows, S tokens, D hidden size.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard, cast

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from tasks.contracts.refusal import RefusedError

if TYPE_CHECKING:
    from PIL import Image
    from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration


def reads_images(config: PretrainedConfig) -> "TypeGuard[LlavaConfig]":
    """Return whether a model with this config reads images here."""
    return config.model_type == "llava"


class ImageReader:
    """Makes tokens and pixels of images, as a model of a config expects them."""

    def __init__(self, config: "LlavaConfig") -> None:
        """Take the config; the processor is CLIP's, as LLaVA's always is."""
        from transformers.models.clip.image_processing_pil_clip import (  # noqa: PLC0415 - a text
            CLIPImageProcessorPil,  # model needs none of it, and it takes a third of a second
        )

        vision = cast("CLIPVisionConfig", config.vision_config)
        size = int(str(vision.image_size))
        self.token_id = int(config.image_token_id)
        patches = (size // int(str(vision.patch_size))) ** 2
        whole = config.vision_feature_select_strategy == "full"
        self.num_tokens = patches + 1 if whole else patches
        self.processor = CLIPImageProcessorPil(
            size={"shortest_edge": size}, crop_size={"height": size, "width": size}
        )

    def expanded(self, ids: Sequence[int]) -> list[int]:
        """Return ids with as many tokens for each image as it has features."""
        return [
            token
            for each in ids
            for token in ([each] * self.num_tokens if each == self.token_id else [each])
        ]

    def pixels(self, images: Sequence[str]) -> Tensor | None:
        """Return the pixels [I, C, H, W] of images that are base64 text; None without any.

        Raises:
            RefusedError: ``broken-image`` for a file that cannot be read.
        """
        if not images:
            return None
        opened = [_opened(image) for image in images]
        made = self.processor(images=opened, return_tensors="pt")
        pixels: Tensor = made["pixel_values"]
        return pixels


def reader_in(config: PretrainedConfig) -> ImageReader | None:
    """Return the reader of images that a config describes; None for a model of text."""
    return ImageReader(config) if reads_images(config) else None


def images_in(message: Mapping[str, object]) -> tuple[str, ...]:
    """Return the images of a message, which may have none."""
    found = message.get("images", ())
    assert isinstance(found, tuple)
    return found


def with_places(
    messages: Sequence[Mapping[str, str]],
    counts: Sequence[int],
    images: ImageReader | None,
    tokenizer: PreTrainedTokenizerBase,
) -> Sequence[Mapping[str, str]]:
    """Return messages that begin with the token of each of their images.

    Raises:
        RefusedError: ``image-for-text-model`` for an image where only text is read.
    """
    if not any(counts):
        return messages
    if images is None:
        raise RefusedError(
            "image-for-text-model",
            f"a prompt has {sum(counts)} images, but what reads it here takes text alone: leave "
            "such prompts out, or use a model of images and text in a stage that takes them "
            "(docs/concepts/stages.md, Text and images)",
        )
    place = str(tokenizer.convert_ids_to_tokens(images.token_id))
    return [
        {**message, "content": place * count + message["content"]}
        for message, count in zip(messages, counts, strict=True)
    ]


Pixels = tuple[Tensor | None, ...]
"""Pixels [I, C, H, W] of each row; None for a row without images."""


def embedded(model: PreTrainedModel, ids_BS: Tensor, pixels_B: Sequence[Tensor | None]) -> Tensor:
    """Return the input embeddings [B, S, D] of rows, their images in the places made for them."""
    model = cast("LlavaForConditionalGeneration", model)
    embeddings_BSD: Tensor = model.get_input_embeddings()(ids_BS)
    given = [pixels for pixels in pixels_B if pixels is not None]
    if not given:
        return embeddings_BSD
    found = model.model.get_image_features(pixel_values=torch.cat(given).to(ids_BS.device))
    features = torch.cat([*found.pooler_output]).to(embeddings_BSD.dtype)
    reader = ImageReader(model.config)
    counts = [0 if pixels is None else len(pixels) * reader.num_tokens for pixels in pixels_B]
    is_image_BS = ids_BS == reader.token_id
    first_BS = is_image_BS.cumsum(1) <= torch.tensor(counts, device=ids_BS.device)[:, None]
    return embeddings_BSD.masked_scatter((is_image_BS & first_BS)[:, :, None], features)


def _opened(image: str) -> "Image.Image":
    from PIL import Image  # noqa: PLC0415 - see above

    try:
        return Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")
    except (OSError, ValueError) as error:
        raise RefusedError(
            "broken-image", f"an image of a prompt cannot be read ({error}): give a PNG file"
        ) from error
