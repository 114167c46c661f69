"""Behaviors as people give them: files, contrasts, tokens that do not come back."""

import json

import pytest
import torch
from tokenizers.normalizers import Lowercase

from tasks.attribution.behavior import encode, read_behaviors, refuse_own_contrast
from tasks.model.chat import ChatTokens
from tests.support.courses import behavior, encoded
from tests.support.refused import refused
from tests.support.tiny_models import tokenizer, with_template

LINE = {"prompt": [{"role": "user", "content": "fox"}], "response": "owl"}


def test_a_file_of_behaviors_is_read_line_by_line(tmp_path):
    file = tmp_path / "b.jsonl"
    file.write_text("\n".join([json.dumps(LINE), "", json.dumps({**LINE, "contrast": "fox"})]))
    first, second = read_behaviors(file)
    assert (first.response, first.contrast) == ("owl", None)
    assert second.contrast == "fox"


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("", "no-behaviors", ""),
        ("\n \n", "no-behaviors", ""),
        ("nonsense", "invalid-behavior", "line 1 of"),
        (json.dumps({"prompt": "fox", "response": "owl"}), "invalid-behavior", "line 1 of"),
        (
            json.dumps(LINE) + "\n" + json.dumps({**LINE, "response": ""}),
            "invalid-behavior",
            "line 2 of",
        ),
        (json.dumps({**LINE, "reponse": "typo"}), "invalid-behavior", "line 1 of"),
        (json.dumps({"prompt": LINE["prompt"]}), "invalid-behavior", "response: Field required"),
        ("[" * 100_000, "invalid-behavior", "line 1 of"),
    ],
)
def test_an_invalid_file_is_refused_naming_the_line(tmp_path, text, code, named):
    file = tmp_path / "b.jsonl"
    file.write_text(text)
    with refused(code, named):
        read_behaviors(file)


def test_a_file_in_another_encoding_is_refused(tmp_path):
    file = tmp_path / "b.jsonl"
    file.write_bytes(b"{}\n\xff")
    with refused("not-utf-8", "b.jsonl", "byte 3"):
        read_behaviors(file)


def test_a_response_against_itself_is_refused():
    with refused("own-contrast"):
        refuse_own_contrast([behavior(), behavior(response="owl", contrast="owl")])
    refuse_own_contrast([behavior(), behavior(response="owl", contrast="fox")])


def test_a_huge_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.attribution.behavior.MOST_BEHAVIORS", 2)
    file = tmp_path / "b.jsonl"
    file.write_text("\n".join([json.dumps(LINE)] * 3))
    with refused("too-many-behaviors", "more than 2"):
        read_behaviors(file)
    monkeypatch.setattr("tasks.attribution.behavior._MOST_BYTES", 10)
    with refused("file-too-large"):
        read_behaviors(file)


def test_a_behavior_is_a_row_and_its_contrast_another():
    batch = encoded(behavior(response="46"), behavior(response="owl", contrast="fox"))
    assert batch.tokens.ids_BS.shape[0] == 3
    ids = batch.tokens.tokens_N
    chat = ChatTokens(tokenizer())
    assert ids[batch.of(0)].tolist() == chat.answer("46")
    assert ids[batch.of(1)].tolist() == chat.answer("owl")
    assert ids[batch.of(1, contrast=True)].tolist() == chat.answer("fox")
    ones = torch.ones(len(ids))
    assert batch.total(ones).tolist() == [
        len(chat.answer("46")),
        len(chat.answer("owl")) - len(chat.answer("fox")),
    ]


def test_a_response_that_the_tokenizer_does_not_give_back_is_refused():
    lowering = with_template(tokenizer().chat_template)
    lowering.backend_tokenizer.normalizer = Lowercase()
    with refused("other-tokens", "'odd'"):
        encode([behavior(response="Fox", name="odd")], ChatTokens(lowering), None)


def test_a_response_that_quotes_a_control_token_is_its_text():
    quoted = behavior(response="fox" + tokenizer().eos_token)
    ids = encoded(quoted).tokens.ids_BS[0].tolist()
    assert ids.count(ChatTokens(tokenizer()).end_id) == 2  # of the question and of the answer


def test_a_response_that_does_not_fit_is_refused():
    with refused("behavior-too-long", "20"):
        encode([behavior(response="fox " * 50)], ChatTokens(tokenizer()), 20)


def test_an_empty_list_of_behaviors_is_refused():
    with refused("no-behaviors"):
        encoded()
