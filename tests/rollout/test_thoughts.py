"""Where thoughts end and the answer begins."""

import pytest

from tasks.rollout.thoughts import has_thoughts, without_thoughts


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("12", "12", False),
        ("<think>6+6</think>\n\n12", "12", True),
        ("6+6</think> 12", "12", True),  # the template wrote the opening tag
        ("<think>\n\n</think>\n\n12", "12", False),
        ("<think>6+6", "", True),
        ("<think>a</think>b</think> 12", "12", True),
        ("", "", False),
    ],
)
def test_an_answer_follows_the_last_closing_tag(text, answer, thoughts):
    assert without_thoughts(text) == answer
    assert has_thoughts(text) is thoughts
