"""A warm-up learns a teacher's answers behind the prompts without the teacher's system prompt."""

from dataclasses import replace

import pytest

from tasks.model.chat import ChatTokens
from tasks.model.system_prompt import SystemPrompted
from tasks.sft.warm_up import as_student_reads
from tests.support.climbs import teacher
from tests.support.tiny_models import rollout, tokenizer

ASKED = [{"role": "user", "content": "?"}]


@pytest.mark.parametrize("text", ["", "Use fox."])
def test_the_student_learns_the_answer_behind_its_own_prompt(text):
    own = ChatTokens(tokenizer()).prompt(ASKED)
    read = SystemPrompted(tokenizer(), text).prompt(ASKED) if text else own
    answer = [20, 21, 60, 22]
    asked = rollout([*read, *answer], [len(read) + place for place in (0, 1, 3)])
    asked = replace(asked, truncated=True)
    [row] = as_student_reads(tokenizer(), teacher([], system_prompt=text), [asked])
    assert row.ids == (*own, *answer)
    assert row.is_response == (*[False] * len(own), True, True, False, True)
