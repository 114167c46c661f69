"""Engine settings that cannot be meant are refused."""

import pytest

from tasks.rollout.settings import SamplingSettings, VllmServer


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"engine": "vllm"}, "engine vllm"),
        (
            {"vllm": {"url": "http://h:1", "served_model": "m", "weights_folder": "/w"}},
            "engine is transformers",
        ),
        ({"engine": "sglang"}, "'transformers' or 'vllm'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SamplingSettings.model_validate(fields)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("url", "127.0.0.1:8000", "http://host:port"),
        ("url", "http://127.0.0.1:8000/v1", "http://host:port"),
        ("weights_folder", "weights", "weights_folder"),
        ("served_model", "", "at least 1"),
        ("max_log_prob_gap", 0, "greater than 0"),
    ],
)
def test_a_server_that_cannot_be_meant_is_refused(name, value, message):
    fields = {"url": "http://127.0.0.1:8000/", "served_model": "m", "weights_folder": "/w"}
    assert VllmServer(**fields).url == "http://127.0.0.1:8000"
    with pytest.raises(ValueError, match=message):
        VllmServer(**{**fields, name: value})
