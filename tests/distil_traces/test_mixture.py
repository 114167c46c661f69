"""Which answers become demonstrations: filters, forms, budgets and weights, by hand."""

import pytest
from pydantic import ValidationError

from tasks.distil_traces.mixture import (
    apportioned,
    mix,
    trace_of_demonstration,
    trace_of_response,
)
from tasks.distil_traces.settings import PromptForm, TraceBalance, TraceSettings, TraceSource
from tasks.rollout.environment import Demonstration, Message, Prompt, Turn
from tests.support.refused import refused
from tests.support.sampled import response

POOL = [
    response("a1", "a", grade=1.0, sampler="early"),
    response("a2", "a", grade=0.0),
    response("a3", "a", grade=1.0),
    response("b1", "b", grade=1.0, truncated=True),
    response("b2", "b", grade=0.5),
    response("c1", "c", grade=1.0, domain="code"),
    response("d1", "d", grade=1.0, mode="on"),
]


def traces(*responses):
    return [trace_of_response(each) for each in responses or POOL]


def mixed(given, *sources, seed=0, **settings):
    return mix(given, TraceSettings(sources=sources, **settings), seed)


def said(*given, seed=0, **source):
    """Return what the demonstrations of one source say."""
    made = mixed([traces(*given)], TraceSource(name="s", **source), seed=seed)
    return sorted(row.turns[-1].content for row in made.rows)


def test_only_correct_and_whole_answers_are_accepted():
    assert said(samples_per_prompt=9) == ["a1", "a3", "c1", "d1"]
    assert said(samples_per_prompt=9, least_score=0.5) == ["a1", "a3", "b2", "c1", "d1"]
    assert said(samples_per_prompt=9, least_score=None, keep_truncated=True) == [
        "a1", "a2", "a3", "b1", "b2", "c1", "d1",
    ]  # fmt: skip


def test_a_source_can_be_a_domain_a_mode_or_some_checkpoints():
    assert said(domain="code") == ["c1"]
    assert said(mode="on") == ["d1"]
    assert said(mode="", domain="math", samples_per_prompt=9) == ["a1", "a3"]
    assert said(samplers=("early",)) == ["a1"]


def test_a_budget_is_of_prompts_and_of_answers_to_each():
    drawn = {tuple(said(seed=seed, domain="math", mode="")) for seed in range(20)}
    assert drawn == {("a1",), ("a3",)}
    one = {tuple(said(seed=seed, num_prompts=1, samples_per_prompt=2)) for seed in range(20)}
    assert one == {("a1", "a3"), ("c1",), ("d1",)}
    assert said(seed=3) == said(seed=3)


def test_each_prompt_has_a_first_answer_before_any_has_a_second():
    made = mixed([traces()], TraceSource(name="s", samples_per_prompt=2))
    order = [row.turns[-1].content[0] for row in made.rows]
    assert sorted(order[:3]) == ["a", "c", "d"]
    assert order[3:] == ["a"]


SYSTEM = (Message("system", "be brief"), Message("user", "a?"))


@pytest.mark.parametrize(
    ("form", "messages"),
    [
        (PromptForm.SAMPLED, SYSTEM),
        (PromptForm.PLAIN, SYSTEM[1:]),
        (PromptForm.SYSTEM, (Message("system", "think"), SYSTEM[1])),
    ],
)
def test_a_source_has_its_form_of_the_prompt(form, messages):
    given = response("x", prompt="a")
    given = traces(given.__class__(**{**vars(given), "prompt": Prompt("a", SYSTEM)}))
    system = "think" if form is PromptForm.SYSTEM else ""
    made = mixed([given], TraceSource(name="s", form=form, system=system))
    assert [row.messages for row in made.rows] == [messages]


def test_both_forms_of_one_set_are_two_sources():
    plain = TraceSource(name="plain", form=PromptForm.PLAIN, domain="code")
    reflective = TraceSource(name="r", form=PromptForm.SYSTEM, system="think", domain="code")
    made = mixed([traces(), traces()], plain, reflective)
    assert [[m.role for m in row.messages] for row in made.rows] == [["user"], ["system", "user"]]


def test_stripped_thoughts_leave_the_answer_in_the_mode_off():
    turns = (
        Turn("assistant", "<think>look it up</think>\ncall"),
        Turn("tool", "</think> is 7"),
        Turn("assistant", "7 it is</think> 7"),
    )
    given = [
        response("<think>long</think> 5", "a", mode="on", num_tokens=22),
        response("<think>never ends", "b", mode="on"),
        response("", "c", mode="on", turns=turns),
    ]
    made = mixed([traces(*given)], TraceSource(name="s", strip_thoughts=True))
    rows = {row.messages[0].content: row for row in made.rows}
    assert rows.keys() == {"a?", "c?"}
    assert {row.mode for row in made.rows} == {"off"}
    assert rows["a?"].turns == (Turn("assistant", "5"),)
    assert [turn.content for turn in rows["c?"].turns] == ["call", "</think> is 7", "7"]
    # One of 21 characters is kept: 22 / 21 tokens, rounded. Of the third 5 of 47, of 2 tokens.
    assert made.counts["s"] == {"given": 3, "accepted": 2, "selected": 2, "tokens": 1}


def many(name, count, num_tokens=1):
    return traces(*(response(name, f"{name}{n}", num_tokens=num_tokens) for n in range(count)))


def counts(made, what="selected"):
    return [each[what] for each in made.counts.values()]


BOTH = (TraceSource(name="x", weight=3.0), TraceSource(name="y", weight=1.0))


def test_without_weights_every_source_gives_all():
    assert counts(mixed([many("x", 7), many("y", 5)], *BOTH)) == [7, 5]


def test_sample_weights_take_as_many_as_the_scarcest_source_allows():
    def sized(x, y, **more):
        return counts(
            mixed([many("x", x), many("y", y)], *BOTH, balance=TraceBalance.SAMPLES, **more)
        )

    assert sized(9, 9) == [9, 3]
    assert sized(30, 4) == [12, 4]
    assert sized(10, 9) == [10, 3]  # 13.3 in all, of which y has 3.3
    assert sized(9, 9, total=8) == [6, 2]
    assert sized(9, 9, total=5) == [4, 1]  # 3.75 and 1.25
    with refused("too-few-traces", "x has 9 of 12"):
        sized(9, 9, total=16)


def test_token_weights_count_tokens_instead_of_samples():
    def sized(x, y, **more):
        made = mixed([x, y], *BOTH, balance=TraceBalance.TOKENS, **more)
        return counts(made, "tokens")

    # 30 tokens of y allow 90 of x, which has 80; so x gives 80 and y 80 / 3 = 26.7.
    assert sized(many("x", 8, 10), many("y", 30, 1)) == [80, 26]
    assert sized(many("x", 80, 10), many("y", 30, 1)) == [90, 30]
    assert sized(many("x", 80, 10), many("y", 30, 1), total=40) == [30, 10]
    assert sized(many("x", 80, 10), many("y", 3, 20), total=40) == [30, 20]  # at least one
    with refused("too-few-traces"):
        sized(many("x", 8, 10), many("y", 30, 1), total=200)


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [(10, [0.5, 0.5], [5, 5]), (10, [0.56, 0.11, 0.33], [6, 1, 3]), (1, [0.2, 0.8], [0, 1])],
)
def test_whole_numbers_are_apportioned_by_the_largest_remainder(total, shares, expected):
    assert apportioned(total, shares) == expected


PLAIN = [
    trace_of_demonstration(Demonstration((Message("user", f"{n}"),), (Turn("assistant", "y"),)))
    for n in range(3)
]


def test_demonstrations_are_a_source_that_has_no_grades():
    assert counts(mixed([PLAIN], TraceSource(name="s", least_score=None))) == [3]
    for wrong in ({}, {"least_score": None, "domain": "math"},
                  {"least_score": None, "samplers": ("a",)}):  # fmt: skip
        with refused("ungraded"):
            mixed([PLAIN], TraceSource(name="s", **wrong))
    with refused("no-token-counts", "3 answers"):
        mixed([PLAIN], TraceSource(name="s", least_score=None), balance=TraceBalance.TOKENS)


def test_a_source_that_gives_nothing_is_refused():
    for code, source in (
        ("no-traces", {"least_score": 1.1}),
        ("no-traces", {"domain": "other"}),
        ("no-traces", {"samplers": ("nobody",)}),
        ("unknown-scorer", {"scorer": "rm"}),
    ):
        with refused(code):
            said(**source)


@pytest.mark.parametrize(
    "wrong", [{"form": PromptForm.SYSTEM}, {"system": "think"}, {"weight": 0}, {"name": ""}]
)
def test_settings_that_cannot_work_are_rejected(wrong):
    with pytest.raises(ValidationError):
        TraceSource(**({"name": "s"} | wrong))
