"""The base of the testbed: one for each scale, made once, and able to answer every domain."""

import pytest

from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.contracts.scale import Scale
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy
from tasks.sft.settings import at_scale
from tests.support.bed_domains import NAMES, answered, source_of
from workflows.testbed.base import BEDS, NAME, make_testbed


def test_there_is_one_bed_for_each_scale():
    assert [at_scale(scale, BEDS).scale for scale in Scale] == list(Scale)


def test_only_the_published_bed_starts_from_a_model_of_others():
    assert [scale.value for scale in Scale if at_scale(scale, BEDS).source] == ["published"]


def test_flyte_sees_the_steps_of_the_base_and_hands_each_what_its_scale_says():
    by_name = {node.id: node for node in make_testbed.nodes}
    assert set(by_name) == {"settings", "collect-blend", "make-base", "register", "summary"}
    assert {node.id for node in by_name["make-base"].upstream_nodes} == {
        "settings",
        "collect-blend",
    }


@pytest.mark.slow
def test_a_base_is_made_once_and_takes_prompts_and_examples_of_every_domain():
    first = make_testbed(scale=Scale.MICRO)
    store = open_store()
    assert Registry(store).resolve(f"{NAME}@released").digest == first.base.digest
    assert make_testbed(scale=Scale.MICRO).base.digest == first.base.digest
    policy = load_policy(store.tree(first.base.digest))
    chat, longest = ChatTokens(policy.tokenizer), {}
    for name in NAMES:
        for prompt in source_of(name).prompts("evaluation", 50, 0):
            chat.prompt([vars(message) for message in prompt.messages], prompt.mode)
        lengths = [
            sum(len(chat.answer(t.content)) for t in example.turns if t.role == "assistant")
            for prompt, example in answered(name, 200)
            if prompt.mode != "off" and example.turns[-1].content.count("<think>")
        ]
        longest[name] = sum(lengths) / len(lengths) if lengths else 0.0
    assert min(longest["add"], longest["sort"]) >= 60
