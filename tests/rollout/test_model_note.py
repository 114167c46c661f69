"""The record names what was chosen for a model: its attention, and the date in its prompts."""

from tasks.model.files import Policy
from tasks.rollout.domains import model_note
from tests.support.templates import tokenizer_of
from tests.support.tiny_models import tiny_policy
from tests.support.zoo import tiny


def test_attention_and_date_are_named():
    assert model_note(tiny_policy()) == {"attention": "sdpa"}
    dated = Policy(tiny("gpt-oss"), tokenizer_of("gptoss"))
    assert model_note(dated) == {"attention": "eager", "prompt_date": "2026-01-01"}
