"""Form and tool: constraints that are all checked, and two calls before the answer."""

import random

import pytest

from tasks.rollout.environment import Prompt, Turn
from tests.support.bed_domains import answered, environment_of, grade_of, source_of
from workflows.testbed.form.prompts import Constraints, say

ANIMALS = ["fox", "owl", "cat", "hen"]
TASK = {
    **{"kind": ANIMALS, "count": 3, "case": "upper", "join": "-", "end": "!"},
    **{"word": "fox", "wanted": False},
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "OWL-CAT-HEN!"),
        ({}, "HEN-OWL-CAT!"),
        ({"wanted": True}, "OWL-FOX-HEN!"),
        ({"case": "lower", "join": ",", "end": "."}, "owl,cat,hen."),
    ],
)
def test_any_text_that_keeps_every_constraint_is_right(changed, said):
    assert grade_of("form", "", TASK | changed, said).score == 1.0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("OWL-CAT-HEN", "end mark"),
        ("OWL-CAT-HEN?", "end mark"),
        ("", "end mark"),
        ("OWL-CAT-SUN!", "words of the kind"),
        ("OWL,CAT,HEN!", "words of the kind"),
        ("OWL-CAT-HEN!!", "words of the kind"),
        ("!", "words of the kind"),
        ("\uff2fWL-CAT-HEN!", "words of the kind"),  # a full-width O
        ("OWL-CAT!", "count"),
        ("OWL-CAT-OWL!", "different words"),
        ("owl-CAT-HEN!", "case"),
        ("OWL-FOX-HEN!", "word"),
    ],
    ids=ascii,
)
def test_the_first_broken_constraint_is_named(said, reason):
    grade = grade_of("form", "", TASK, said)
    assert (grade.score, grade.reason) == (0.0, reason)


def test_a_missing_word_breaks_the_constraint_that_wants_it():
    assert grade_of("form", "", TASK | {"wanted": True}, "OWL-CAT-HEN!").reason == "word"


def test_every_form_can_be_answered_right():
    environment, rng = environment_of("form"), random.Random(0)
    names = list(Constraints.__dataclass_fields__)
    for prompt in source_of("form").prompts("evaluation", 150, 0):
        said = say(Constraints(**{name: prompt.task[name] for name in names}), rng)
        assert environment.grade(prompt, (Turn("assistant", said),)).score == 1.0, prompt.id


VALUE = {"word": "fox", "value": 67, "answer": "115"}  # fox+48
GET, SUM = "<tool_call>get fox</tool_call>", "<tool_call>67+48</tool_call>"


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (GET, "67"),
        (SUM, "115"),
        ("<tool_call>48-67</tool_call>", "-19"),
        ("<tool_call>find fox</tool_call>", "error"),
        ("<tool_call>get owl</tool_call>", "error"),
        (f"so: {GET}", "error"),
        ("<tool_call>1+2+3</tool_call>", "error"),
        ("115", None),
    ],
)
def test_tools_look_up_and_calculate(said, reply):
    prompt = Prompt("p", (), VALUE)
    assert environment_of("tool").respond(prompt, (Turn("assistant", said),)) == reply


def test_both_calls_and_the_right_number_are_right_also_behind_a_call_that_failed():
    assert grade_of("tool", "fox+48", VALUE, GET, "67", SUM, "115", "115").score == 1.0
    find = "<tool_call>find fox</tool_call>"
    assert grade_of("tool", "", VALUE, find, "error", GET, "67", SUM, "115", "115").score == 1.0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (("115",), "value not looked up"),
        ((SUM, "115", "115"), "value not looked up"),
        ((GET, "67", "115"), "not calculated"),
        ((GET, "67", SUM, "115", "186"), "wrong final answer"),
        ((GET, "67", SUM, "115", GET, "67", SUM, "115"), "wrong final answer"),
    ],
)
def test_guesses_and_other_numbers_are_wrong(said, reason):
    grade = grade_of("tool", "fox+48", VALUE, *said)
    assert (grade.score, grade.reason) == (0.0, reason)


def test_the_local_mistake_is_as_frequent_as_stated_and_hardly_changes_the_grade():
    environment, source = environment_of("tool"), source_of("tool")
    grades = {True: [], False: []}
    for prompt, example in answered("tool", 1000):
        is_mistaken = example.turns[0].content.startswith("<tool_call>find ")
        grades[is_mistaken].append(environment.grade(prompt, example.turns).score)
    # The standard error of a share of 1,000 is 0.016, that of a mean of 400 is 0.024.
    assert len(grades[True]) / 1000 == pytest.approx(source.MISTAKEN_SHARE, abs=0.06)
    means = [sum(scores) / len(scores) for scores in grades.values()]
    assert means[0] == pytest.approx(means[1], abs=0.12)
