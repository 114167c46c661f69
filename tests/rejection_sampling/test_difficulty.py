"""Prompts by pass rate: windows, edges and counts, by hand."""

import pytest
from pydantic import ValidationError

from tasks.rejection_sampling.difficulty import PromptRule, select_prompts
from tests.support.refused import refused
from tests.support.sampled import response


def sampled(prompt, *grades, **more):
    return [response(str(place), prompt, grade=grade, **more) for place, grade in enumerate(grades)]


POOL = [
    *sampled("never", 0, 0, 0, 0),
    *sampled("hard", 1, 0, 0, 0),
    *sampled("middle", 1, 0, 1, 0),
    *sampled("easy", 1, 1, 1, 0),
    *sampled("always", 1, 1, 1, 1),
]


def kept(pool=POOL, **rule):
    return [prompt.id for prompt in select_prompts(pool, PromptRule(**rule)).prompts]


def test_never_and_always_solved_prompts_are_dropped_and_counted():
    made = select_prompts(POOL, PromptRule())
    assert [prompt.id for prompt in made.prompts] == ["hard", "middle", "easy"]
    assert made.counts == {
        "never_solved": 1,
        "always_solved": 1,
        "too_hard": 0,
        "too_easy": 0,
        "selected": 3,
    }
    assert made.pass_rates == {"never": 0, "hard": 0.25, "middle": 0.5, "easy": 0.75, "always": 1}


def test_both_ends_of_the_window_belong_to_it():
    assert kept(least_pass_rate=0.5) == ["middle", "easy"]
    assert kept(most_pass_rate=0.5) == ["hard", "middle"]
    made = select_prompts(POOL, PromptRule(least_pass_rate=0.3, most_pass_rate=0.7))
    assert (made.counts["too_hard"], made.counts["too_easy"]) == (1, 1)


def test_never_and_always_solved_prompts_can_be_kept():
    assert kept(keep_never_solved=True, most_pass_rate=0.625) == ["never", "hard", "middle"]
    assert kept(keep_always_solved=True, least_pass_rate=0.75) == ["easy", "always"]


def test_a_response_solves_its_prompt_from_a_score():
    pool = sampled("p", 0.4, 0.6)
    assert kept(pool, solved_from=0.6) == ["p"]
    for solved_from in (0.4, 0.61):
        with refused("nothing-left"):
            kept(pool, solved_from=solved_from)


def test_a_set_of_prompts_is_of_one_domain_and_mode():
    both = [*POOL, *sampled("code", 1, 0, domain="code")]
    assert kept(both, domain="code") == ["code"]
    with refused("several-domains", "code", "math"):
        kept(both)
    with refused("no-responses"):
        kept(both, domain="other")
    with refused("several-modes"):
        kept([*sampled("p", 1, 0), *sampled("p", 1, 0, mode="on")])


def test_a_window_that_leaves_nothing_is_refused():
    with refused("nothing-left", "too hard: 3"):
        kept(least_pass_rate=0.8)
    with refused("unknown-scorer"):
        kept(scorer="rm")
    with pytest.raises(ValidationError):
        PromptRule(least_pass_rate=0.6, most_pass_rate=0.5)
