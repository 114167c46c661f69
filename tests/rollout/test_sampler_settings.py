"""Engine settings that cannot be meant are refused."""

import pytest

from tasks.rollout.settings import SamplingSettings, VllmServer
from tests.support.refused import invalid


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"engine": "vllm"}, "no-server"),
        (
            {"vllm": {"url": "http://h:1", "served_model": "m", "weights_folder": "/w"}},
            "unused-server",
        ),
        ({"engine": "sglang"}, "enum"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, code):
    with invalid(code):
        SamplingSettings.model_validate(fields)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("url", "127.0.0.1:8000", "bad-address"),
        ("url", "http://127.0.0.1:8000/v1", "bad-address"),
        ("weights_folder", "weights", "relative-path"),
        ("served_model", "", "string_too_short"),
        ("max_log_prob_gap", 0, "greater_than"),
    ],
)
def test_a_server_that_cannot_be_meant_is_refused(name, value, code):
    fields = {"url": "http://127.0.0.1:8000/", "served_model": "m", "weights_folder": "/w"}
    assert VllmServer(**fields).url == "http://127.0.0.1:8000"
    with invalid(code, name):
        VllmServer(**{**fields, name: value})
