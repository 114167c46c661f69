"""The testbed's pictures: read back, every answer is what they show."""

import base64
import io

from PIL import Image

from workflows.testbed.grid.environment import ENVIRONMENT
from workflows.testbed.grid.prompts import COLORS, demonstrations, prompts


def cells_of(image):
    opened = Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")
    names = {color: name for name, color in COLORS.items()}
    middles = range(1, opened.width, 4)
    return [[names[opened.getpixel((x, y))] for x in middles] for y in middles]


def test_the_answer_is_the_row_of_the_picture():
    for prompt in prompts("evaluation", 40, 0):
        asked = prompt.messages[-1]
        row = cells_of(asked.images[0])[int(asked.content.removeprefix("row ")) - 1]
        assert prompt.task["answer"] == ",".join(row)


def test_demonstrations_slip_and_are_graded_like_answers():
    shown = list(demonstrations(400, 0))
    rows = [cells_of(d.messages[-1].images[0])[int(d.messages[-1].content[-1]) - 1] for d in shown]
    right = [d.turns[0].content == ",".join(r) for d, r in zip(shown, rows, strict=True)]
    # A cell is right in 0.8 + 0.2 / 4 = 0.85 of the cases, and all three in 0.61.
    assert 0.5 < sum(right) / len(right) < 0.72
    prompt = next(prompts("train", 1, 0))
    assert ENVIRONMENT.grade(prompt, shown[0].turns).score in (0.0, 1.0)


def test_splits_share_no_picture():
    seen = {
        split: {prompt.messages[-1].images for prompt in prompts(split, 60, 0)}
        for split in ("train", "validation", "evaluation")
    }
    assert not seen["train"] & seen["evaluation"]
    assert not seen["train"] & seen["validation"]
