"""Behaviours as people give them: files, contrasts, tokens that do not come back."""

import json

import pytest
import torch

from tasks.attribution.behaviour import encode, read_behaviours, refuse_own_contrast
from tasks.model.chat import ChatTokens
from tests.support.courses import behaviour, encoded
from tests.support.tiny_models import tokenizer

LINE = {"prompt": [{"role": "user", "content": "fox"}], "response": "owl"}


def test_a_file_of_behaviours_is_read_line_by_line(tmp_path):
    file = tmp_path / "b.jsonl"
    file.write_text("\n".join([json.dumps(LINE), "", json.dumps({**LINE, "contrast": "fox"})]))
    first, second = read_behaviours(file)
    assert (first.response, first.contrast) == ("owl", None)
    assert second.contrast == "fox"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "holds no behaviour"),
        ("\n \n", "holds no behaviour"),
        ("nonsense", "line 1 of"),
        (json.dumps({"prompt": "fox", "response": "owl"}), "line 1 of"),
        (json.dumps(LINE) + "\n" + json.dumps({**LINE, "response": ""}), "line 2 of"),
        (json.dumps({**LINE, "reponse": "typo"}), "line 1 of"),
        (json.dumps({"prompt": LINE["prompt"]}), r"line 1 of .*\(response: Field required\)"),
        ("[" * 100_000, "line 1 of"),
    ],
)
def test_a_file_that_is_none_is_refused_naming_the_line(tmp_path, text, named):
    file = tmp_path / "b.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=named):
        read_behaviours(file)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    file = tmp_path / "b.jsonl"
    file.write_bytes(b"{}\n\xff")
    with pytest.raises(ValueError, match=r"b\.jsonl is no UTF-8 text .* at byte 3"):
        read_behaviours(file)


def test_a_response_against_itself_is_refused():
    with pytest.raises(ValueError, match="has its own response as contrast"):
        refuse_own_contrast([behaviour(), behaviour(response="owl", contrast="owl")])
    refuse_own_contrast([behaviour(), behaviour(response="owl", contrast="fox")])


def test_a_huge_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.attribution.behaviour.MOST_BEHAVIOURS", 2)
    file = tmp_path / "b.jsonl"
    file.write_text("\n".join([json.dumps(LINE)] * 3))
    with pytest.raises(ValueError, match="more than 2 behaviours"):
        read_behaviours(file)
    monkeypatch.setattr("tasks.attribution.behaviour._MOST_BYTES", 10)
    with pytest.raises(ValueError, match="draw a sample"):
        read_behaviours(file)


def test_a_behaviour_is_a_row_and_its_contrast_another():
    batch = encoded(behaviour(response="46"), behaviour(response="owl", contrast="fox"))
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
    with pytest.raises(ValueError, match=r"behaviour 'odd'.*does not give"):
        encoded(behaviour(response="fox" + tokenizer().eos_token, name="odd"))


def test_a_response_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="more than the model's 20"):
        encode([behaviour(response="fox " * 50)], ChatTokens(tokenizer()), 20)


def test_no_behaviour_is_refused():
    with pytest.raises(ValueError, match="no behaviour to explain"):
        encoded()
