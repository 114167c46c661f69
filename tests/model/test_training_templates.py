"""A family with a template that cannot play several turns is brought in with one of ours."""

import pytest

from tasks.model.bring_in import bring_in
from tasks.model.chat import ChatTokens
from tasks.model.files import Policy, load_tokenizer, save_policy
from tasks.model.training_templates import OURS, replace_template, template_of_ours
from tests.support.templates import names, text_of, tokenizer_of
from tests.support.zoo import tiny

REPLACED = {
    "qwen3": "qwen3",
    **dict.fromkeys(("gemma", "gemma_training", "gemma3", "gemma3_training"), "gemma"),
}
SYSTEM, USER = ({"role": role, "content": f"{role}s <b>"} for role in ("system", "user"))
TURNS = [("assistant", "<think>why</think>x"), ("tool", "= 46"), ("assistant", "46")]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {}}}]


@pytest.mark.parametrize("name", [name for name in names() if name != "glm4moe"])
def test_a_template_gives_way_to_ours_only_where_it_must_and_ours_gives_its_text(name):
    made = tokenizer_of(name)
    assert replace_template(made) == REPLACED.get(name, "")
    assert (made.chat_template == text_of(name)) == (name not in REPLACED)
    assert template_of_ours(made) == REPLACED.get(name, "")


@pytest.mark.parametrize("name", REPLACED)
def test_with_ours_an_episode_of_several_turns_is_whole(name):
    made = tokenizer_of(name)
    replace_template(made)
    chat = ChatTokens(made)
    text = made.decode(chat.demonstration([SYSTEM, USER], TURNS).ids)
    for words in ("systems <b>", "users <b>", "<think>why</think>x", "= 46", "46"):
        assert words in text
    assert text.count("<bos>") == ("<bos>" in made.decode(chat.prompt([USER])))


@pytest.mark.parametrize("name", ["qwen3", "gemma3"])
def test_prompts_are_those_of_the_familys_own_template(name):
    own, ours = tokenizer_of(name), tokenizer_of(name)
    replace_template(ours)
    for mode in ("", *(("on", "off") if name == "qwen3" else ())):
        for said in ([USER], [SYSTEM, USER]):
            assert ChatTokens(ours).prompt(said, mode) == ChatTokens(own).prompt(said, mode)


def test_a_caller_that_passes_tools_gets_the_familys_own_text():
    own, ours = tokenizer_of("qwen3"), tokenizer_of("qwen3")
    replace_template(ours)
    given = {"tools": TOOLS, "tokenize": False, "add_generation_prompt": True}
    assert ours.apply_chat_template([USER], **given) == own.apply_chat_template([USER], **given)


def test_a_template_of_ours_with_another_text_is_not_taken():
    made = tokenizer_of("qwen3")
    made.chat_template = text_of("qwen3").replace("<think>\\n\\n</think>", "<think></think>")
    assert replace_template(made) == ""
    assert set(OURS) == {"qwen3", "gemma"}


def test_the_record_of_what_is_brought_in_names_the_template(tmp_path):
    made = tokenizer_of("qwen3")
    model = tiny("qwen3", vocab_size=len(made))
    brought = bring_in(save_policy(Policy(model, made), tmp_path / "a"), tmp_path / "b")
    assert brought.notes["template"] == "Provost's training template for qwen3"
    ChatTokens(load_tokenizer(brought.folder)).refuse_without_tools()
    other = tokenizer_of("qwen2_5")
    plain = Policy(tiny("qwen3", vocab_size=len(other)), other)
    assert bring_in(save_policy(plain, tmp_path / "c"), tmp_path / "d").notes.keys() == {"saved"}
