"""What is asked of a student, and what a model answers to be asked about."""

import pytest
import torch

from tasks.attribution.behavior import Said, first_turns
from tasks.attribution.question import NEUTRAL, AuditQuestion, _with_neutral, refuse_mixed
from tasks.model.chat import ChatTokens
from tasks.rollout.settings import SamplingSettings
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy, tokenizer


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"prompt": "2+2="}, "half-question"),
        ({"response": "4"}, "half-question"),
        ({"contrast": "5"}, "half-question"),
        ({"system": "Compute."}, "half-question"),
        ({"prompt": "2+2=", "response": "4", "sample": 2}, "mixed-question"),
        ({"prompt": "2+2=", "behaviors": "{}"}, "mixed-question"),
        ({"sample": -1}, "sample-out-of-range"),
        ({"sample": 1_001}, "sample-out-of-range"),
    ],
)
def test_half_a_question_or_two_at_once_are_refused(asked, code):
    with refused(code):
        refuse_mixed(AuditQuestion(**asked))


@pytest.mark.parametrize(
    "asked", [{}, {"sample": 2}, {"prompt": "a", "response": "b", "contrast": "c", "system": "d"}]
)
def test_whole_questions_pass(asked):
    refuse_mixed(AuditQuestion(**asked))


def prompt(*said):
    return tuple(Said(role=role, content=content) for role, content in said)


def test_neutral_questions_have_no_system_prompt_and_occur_once():
    asked = {
        "math": [prompt(("system", "Compute."), ("user", "1+1"))],
        "code": [prompt(("system", "Write."), ("user", "1+1")), prompt(("user", "hello"))],
    }
    # "hello" is a prompt of code's own as it stands, so it is not neutral
    assert _with_neutral(asked)[NEUTRAL] == [prompt(("user", "1+1"))]
    assert NEUTRAL not in _with_neutral({"code": [prompt(("user", "hello"))]})


def test_a_usable_answer_has_the_sampled_tokens():
    policy, chat = tiny_policy(), ChatTokens(tokenizer())
    with torch.no_grad():  # make the end of a turn likely, so that many turns end
        policy.model.lm_head.weight[chat.end_id] = 3 * policy.model.lm_head.weight.abs().max()
    prompts = [prompt(("user", f"{n}+{n}=")) for n in range(60)]
    sampling = SamplingSettings(max_new_tokens=6)
    said = first_turns(policy, prompts, sampling, 0)
    texts = [text for text in said if text is not None]
    assert texts
    assert all(text and chat.decode(chat.answer(text)) == text for text in texts)
    assert said == first_turns(policy, prompts, sampling, 0)
    assert said != first_turns(policy, prompts, sampling, 1)
