"""Documents with the British field names of earlier versions stay readable."""

import json

import pytest
from pydantic import ValidationError

from lineage.artifacts import Release
from lineage.frozen import NOW, respelled, respelled_deep
from lineage.records.record import Derivation
from lineage.rules.audit import _has
from tasks.evaluate.scorecard import DomainScores, Scorecard
from tasks.onpolicy.settings import LoopSettings, Normalization
from tests.support.making import release_of
from tests.support.scorecard_example import example_scorecard


def test_a_setting_of_an_older_round_is_read():
    old = {"num_steps": 1, "learning_rate": 0.1, "normalisation": "token_mean"}
    assert LoopSettings.model_validate(old).normalization is Normalization.TOKEN_MEAN


def test_a_field_under_both_names_is_read_once():
    both = {"normalisation": "token_mean", "normalization": "token_mean"}
    assert respelled(both) == {"normalization": "token_mean"}


def test_an_older_scorecard_is_read():
    assert DomainScores.model_validate_json('{"methods": {}, "normalised": {}}').normalized == {}
    card = example_scorecard()
    older = json.loads(json.dumps(card.document()).replace('"normalized"', '"normalised"'))
    assert Scorecard.from_document(older) == Scorecard.from_document(card.document())


def test_an_older_release_is_read():
    present = json.loads(release_of("math").model_dump_json())
    older = {("licence" if name == "license" else name): v for name, v in present.items()}
    assert Release.model_validate_json(json.dumps(older)) == release_of("math")


def test_an_unknown_field_is_still_refused():
    with pytest.raises(ValidationError):
        LoopSettings.model_validate({"num_steps": 1, "learning_rate": 0.1, "normalisations": 1})


def test_a_derivation_keeps_what_it_says_because_that_is_its_identity():
    settings = {"loop": {"normalisation": "token_mean"}}
    made = Derivation(
        kind="mopd", inputs=(), source="sha256:" + "0" * 64, settings=settings, seed=0
    )
    again = Derivation.model_validate_json(made.model_dump_json())
    assert again.settings == settings
    assert again.digest() == made.digest()


def test_a_retrain_by_this_version_agrees_with_an_older_round():
    old, new = {"loop": {"normalisation": "a"}}, {"loop": {"normalization": "a", "later": 1}}
    assert _has(new, old)
    assert not _has({"loop": {"normalization": "b"}}, old)


def test_names_inside_of_lists_change_too_and_values_never():
    assert respelled_deep([{"licence": "licence"}]) == [{"license": "licence"}]


def test_no_present_name_is_itself_an_older_one():
    assert not NOW.keys() & set(NOW.values())
