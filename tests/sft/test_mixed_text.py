"""Pre-training text among demonstrations: how many rows, whose they are, and what is refused."""

from collections import Counter

import pytest

from lineage.artifacts import Artifact
from tasks.model.chat import ChatTokens
from tasks.sft.mixed_text import parted, text_rows
from tasks.sft.settings import TextMix
from tests.support.refused import refused
from tests.support.tiny_models import tokenizer

DEMONSTRATIONS = Artifact(kind="dataset", digest="sha256:" + "1" * 64)
TEXT = Artifact(kind="text", digest="sha256:" + "2" * 64)
CHECKPOINT = Artifact(kind="checkpoint", digest="sha256:" + "3" * 64)
TENTH = TextMix(share=0.1, row_tokens=4)
TEXTS = [f"{n}+{n}={2 * n}" for n in range(10, 60)]


@pytest.fixture
def chat():
    return ChatTokens(tokenizer())


def test_a_tenth_of_the_rows_is_text_and_all_of_it_is_learned(chat):
    rows = text_rows(chat, TEXTS, TENTH, 90, seed=0)
    assert len(rows) == 10
    assert {(len(row.ids), all(row.is_response)) for row in rows} == {(4, True)}
    read = [token for text in TEXTS for token in (*chat.text(text), chat.pad_id)]
    pieces = {tuple(read[first : first + 4]) for first in range(0, len(read) - 3, 4)}
    assert {row.ids for row in rows} <= pieces


def test_text_that_runs_out_starts_again(chat):
    rows = text_rows(chat, ["12+12=24"], TextMix(share=0.5, row_tokens=2), 20, seed=0)
    counts = Counter(row.ids for row in rows)
    assert sum(counts.values()) == 20
    assert max(counts.values()) - min(counts.values()) <= 1


def test_demonstrations_and_text_are_parted():
    assert parted([DEMONSTRATIONS, TEXT], TENTH) == ([DEMONSTRATIONS], [TEXT])
    assert parted([DEMONSTRATIONS], None) == ([DEMONSTRATIONS], [])


def test_text_without_settings_settings_without_text_and_too_little_are_refused(chat):
    with refused("idle-text", "text.share"):
        parted([DEMONSTRATIONS, TEXT], None)
    with refused("missing-text"):
        parted([DEMONSTRATIONS], TENTH)
    with refused("other-kind"):
        parted([CHECKPOINT, TEXT], TENTH)
    with refused("too-little-text"):
        text_rows(chat, ["1"], TextMix(share=0.1, row_tokens=64), 9, seed=0)
