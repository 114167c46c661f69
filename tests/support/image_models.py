"""A tiny model of images and text, and pictures for it."""

import base64
import io

from PIL import Image

from tasks.model.files import Policy
from tasks.rollout.environment import Message, Prompt
from tasks.sft.image_base import with_tower
from tasks.sft.scratch import CHAT_TEMPLATE
from tasks.sft.settings import TowerSettings
from tests.support.tiny_models import tiny_model, with_template

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(*colors, size=12):
    """Return a PNG of vertical stripes as base64 text."""
    image = Image.new("RGB", (size, size))
    for column in range(size):
        for row in range(size):
            image.putpixel((column, row), colors[column * len(colors) // size])
    written = io.BytesIO()
    image.save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


def image_policy(seed=0):
    """Return a policy that reads images of 3 x 3 patches."""
    text = Policy(tiny_model(seed), with_template(CHAT_TEMPLATE))
    made = with_tower(text, TowerSettings(hidden_size=16, feed_forward_size=32), seed)
    # Far from uniform, so that another image shows.
    for parameter in made.model.model.multi_modal_projector.parameters():
        parameter.data *= 20
    return Policy(made.model.eval(), made.tokenizer)


def seen(identifier, *images, said="fox"):
    """Return a prompt with images."""
    return Prompt(identifier, (Message("user", said, images=images),))
