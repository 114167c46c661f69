"""Where thoughts end and the answer begins."""

import pytest

from tasks.rollout.environment import Turn
from tasks.rollout.thoughts import has_thoughts, obeys_mode, without_thoughts


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


@pytest.mark.parametrize(
    ("mode", "said", "obeys"),
    [
        ("on", "<think>3+4=7;</think>7", True),
        ("on", "7", False),
        ("on", "<think></think>7", False),
        ("off", "7", True),
        ("off", "<think>3+4=7;</think>7", False),
        ("off", "<think>3+4", False),
        ("high", "7", None),
        ("", "7", None),
    ],
)
def test_a_response_obeys_its_mode_if_it_thinks_just_there(mode, said, obeys):
    assert obeys_mode(mode, [Turn("assistant", said)]) is obeys


def test_one_of_several_turns_thinks_and_tools_do_not():
    spoken = [
        Turn("assistant", "<think>look</think>get fox"),
        Turn("tool", "<think>no"),
        Turn("assistant", "7"),
    ]
    assert obeys_mode("on", spoken) is True
    assert obeys_mode("off", spoken) is False
    assert obeys_mode("off", spoken[1:]) is True
