"""Pre-training text among the demonstrations of a supervised stage, as rows of a given width."""

import random
from collections.abc import Sequence

from lineage.artifacts import Artifact
from tasks.contracts.refusal import RefusedError, refuse_other_kind
from tasks.model.chat import ChatTokens, Tokens
from tasks.rollout.texts import TEXT
from tasks.sft.settings import TextMix
from tasks.supervised.packing import cut


def parted(data: Sequence[Artifact], mix: TextMix | None) -> tuple[list[Artifact], list[Artifact]]:
    """Return the data sets of demonstrations, and those of text.

    Raises:
        RefusedError: ``other-kind`` for anything else, ``idle-text`` for text that the settings do
            not mix in, ``missing-text`` for settings without their text.
    """
    texts = [item for item in data if item.kind == TEXT]
    examples = [item for item in data if item.kind != TEXT]
    for item in examples:
        refuse_other_kind(item, "dataset", "data")
    if texts and mix is None:
        raise RefusedError(
            "idle-text",
            f"the data have text ({texts[0].digest}), but the settings mix none in: set "
            "text.share, or leave the text out",
        )
    if mix is not None and not texts:
        raise RefusedError(
            "missing-text",
            f"{mix.share:.0%} of the rows shall be text, but the data have none: give an artifact "
            "of the kind text, or remove text from the settings",
        )
    return examples, texts


def text_rows(
    chat: ChatTokens, texts: Sequence[str], mix: TextMix, demonstrations: int, seed: int
) -> list[Tokens]:
    """Return as many rows of text as make their share beside a number of demonstrations.

    Text that runs out starts again in another order of its rows.

    Raises:
        RefusedError: ``too-little-text`` for less than one row.
    """
    rows = cut([(*chat.text(text), chat.pad_id) for text in texts], mix.row_tokens)
    if not rows:
        raise RefusedError(
            "too-little-text",
            f"the text has less than a row of {mix.row_tokens} tokens: give more text, or lower "
            "text.row_tokens",
        )
    wanted = max(1, round(demonstrations * mix.share / (1 - mix.share)))
    rng, drawn = random.Random(f"{seed} text"), list[Tokens]()
    while len(drawn) < wanted:
        drawn += rng.sample(rows, min(len(rows), wanted - len(drawn)))
    return drawn
