import types

import pytest

from tasks.rollout.client import EnvironmentFailure, LocalEnvironment, NonsenseError, grade_of
from tasks.rollout.environment import Demonstration, Grade, Message, Prompt, Turn
from tests.support.bundles import episodes


class Team:
    max_turns = 2

    def __init__(self, answer=None, grade=None):
        self.answer, self.given = answer, grade

    def respond(self, prompt, turns):
        if turns[-1].content == "raise":
            raise KeyError("lost")
        return self.answer

    def grade(self, prompt, turns):
        return self.given or Grade(float(turns[-1].content == prompt.task["answer"]))


def source(prompts, demonstrations=()):
    return types.SimpleNamespace(
        prompts=lambda split, count, seed: iter(prompts),
        demonstrations=lambda count, seed: iter(demonstrations),
    )


def question(identifier, **task):
    return Prompt(identifier, (Message("user", "1+1"),), task)


def test_episodes_are_answered_and_graded_in_order():
    local = LocalEnvironment(Team("more"))
    assert local.max_turns == 2
    assert local.respond(episodes("a", "b")) == ["more", "more"]
    assert local.grade(episodes("2", "3")) == [Grade(1.0), Grade(0.0)]


def test_what_an_environment_raises_names_the_domain_the_call_and_the_prompt():
    local = LocalEnvironment(Team(), domain="sums")
    with pytest.raises(EnvironmentFailure) as caught:
        local.respond(episodes("a", "raise"))
    error = caught.value
    assert (error.domain, error.call, error.prompt_id) == ("sums", "respond", "p1")
    assert str(error).startswith("environment of 'sums': respond() at prompt 'p1' raised KeyError.")
    assert 'raise KeyError("lost")' in str(error)


def test_ctrl_c_does_not_count_as_a_failure_of_the_environment():
    class Interrupted(Team):
        def grade(self, prompt, turns):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalEnvironment(Interrupted()).grade(episodes("a"))


@pytest.mark.parametrize("answer", [4, b"a", "a" * 70_000, "\ud800"])
def test_a_reply_of_another_type_is_refused(answer):
    with pytest.raises(EnvironmentFailure, match=r"respond\(\) at prompt 'p0'"):
        LocalEnvironment(Team(answer)).respond(episodes("a"))


@pytest.mark.parametrize("grade", [1.0, "1", (1.0, "")])
def test_an_invalid_grade_is_refused(grade):
    with pytest.raises(EnvironmentFailure, match=r"grade\(\) .* Grade"):
        LocalEnvironment(Team(grade=grade)).grade(episodes("a"))


@pytest.mark.parametrize("turns", [0, -1, None, True, 2.0, 257, 10**9])
def test_an_invalid_number_of_turns_is_refused(turns):
    team = Team()
    team.max_turns = turns
    with pytest.raises(EnvironmentFailure, match=r"max_turns\(\) .*256"):
        LocalEnvironment(team)


def test_prompts_are_what_a_file_would_give_back():
    # A tuple becomes a list in a file, and so it does here: tests meet what releases meet.
    local = LocalEnvironment(Team(), source([question("a", tests=((1, 2),))]))
    (prompt,) = local.prompts("train", 1, 0)
    assert prompt.task == {"tests": [[1, 2]]}


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ([question("a")], "1 .*2"),
        ([question("a"), question("b"), question("c")], "more .*2"),
        ([question("a"), question("a")], "'a'"),
        ([question("a"), question("b", answer=float("nan"))], "ValueError"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(made, problem):
    with pytest.raises(EnvironmentFailure, match=problem):
        LocalEnvironment(Team(), source(made)).prompts("train", 2, 0)


def test_demonstrations_must_end_with_the_models_words():
    shown = Demonstration((Message("user", "1+1"),), (Turn("assistant", "2"),))
    ended = Demonstration((Message("user", "1+1"),), (Turn("tool", "2"),))
    local = LocalEnvironment(Team(), source([], [shown, ended]))
    with pytest.raises(EnvironmentFailure, match="'tool' to 'tool'"):
        local.demonstrations(2, 0)
    assert LocalEnvironment(Team(), source([], [shown])).demonstrations(1, 0) == [shown]


def test_without_a_source_asking_for_prompts_is_refused():
    with pytest.raises(EnvironmentFailure, match="`source`"):
        LocalEnvironment(Team()).prompts("train", 1, 0)


@pytest.mark.parametrize("prompt_id", ["p", "p" * 10**7], ids=["short", "long"])
def test_a_failure_says_little_whatever_it_was_given(prompt_id):
    error = EnvironmentFailure(
        "sums", "grade", "x" * 10**7, prompt_id=prompt_id, details=("y" * 10**6 + "\n") * 30
    )
    assert len(str(error)) < 12_000
    assert str(error).startswith("environment of 'sums': grade() at prompt 'p")


@pytest.mark.parametrize(
    "score", ["x" * 10**7, 10**5000, [[]] * 10**6], ids=["text", "number", "list"]
)
def test_an_invalid_score_is_shown_shortened(score):
    with pytest.raises(NonsenseError) as caught:
        grade_of(score, "")
    assert len(str(caught.value)) < 700


def test_a_reason_of_another_type_is_refused():
    local = LocalEnvironment(Team(grade=Grade(0.5, "\ud800")))
    with pytest.raises(EnvironmentFailure, match=r"at prompt 'p0'.*reason"):
        local.grade(episodes("a"))
