"""The terminal table: width, completeness, no color needed."""

import io

import pytest
from rich.console import Console

from tasks.evaluate.scorecard import make_scorecard
from tasks.evaluate.scores import Outcomes
from tasks.evaluate.wording import scorecard_view
from tests.support.scorecard_example import DOMAINS, example_outcomes, example_scorecard


@pytest.fixture(scope="module")
def card():
    return example_scorecard()


def render(card, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(scorecard_view(card))
    return out.getvalue()


def test_it_fits_100_columns_without_color(card):
    text = render(card)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text


def test_every_score_is_shown_with_its_interval(card):
    text = render(card)
    for each in card.everything().values():
        for interval in each.methods.values():
            assert f"{interval.mean:.2f}" in text
            assert f"{interval.low:.2f}\N{EN DASH}{interval.high:.2f}" in text


def test_cells_are_aligned_with_their_columns(card):
    lines = render(card).splitlines()
    row = next(line for line in lines if line.startswith("student"))
    expected = [f"{each.methods['student'].mean:.2f}" for each in card.everything().values()]
    assert row.split()[1:] == expected
    header = next(line for line in lines if line.strip().startswith("math"))
    assert header.split() == [*DOMAINS, "overall"]


def test_the_matrix_has_a_row_for_each_teacher_and_a_dash_where_nothing_was_measured(card):
    full = example_outcomes()
    rows = {**full.teachers, "code": {"code": full.teachers["code"]["code"]}}
    partial = make_scorecard(Outcomes(methods=full.methods, teachers=rows, settings=full.settings))
    lines = render(partial).splitlines()
    row = next(line for line in lines if line.startswith("code teacher"))
    assert row.split()[2:] == ["—", f"{card.matrix['code']['code'].mean:.2f}", "—", "—"]
    for domain in DOMAINS:
        assert any(line.startswith(f"{domain} teacher") for line in lines)


def test_more_domains_than_columns_go_below_and_none_is_lost():
    full = example_outcomes()
    names = [f"domain{index}" for index in range(8)]
    many = Outcomes(
        methods={m: dict.fromkeys(names, row["math"]) for m, row in full.methods.items()},
        teachers={name: {name: full.teachers["math"]["math"]} for name in names},
        settings=full.settings,
    )
    text = render(make_scorecard(many, resamples=100))
    assert all(name in text for name in names)
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_name_with_markup_is_shown_as_it_is(card):
    full = example_outcomes()
    methods = {**full.methods, "[red]x[/]": full.methods["student"]}
    text = render(
        make_scorecard(Outcomes(methods=methods, teachers=full.teachers, settings=full.settings))
    )
    assert "[red]x[/]" in text


def test_a_control_that_was_left_out_has_a_row_of_dashes_among_the_scores(card):
    lines = render(card.model_copy(update={"left_out": {"mix_rl": "no reward"}})).splitlines()
    [row] = [line for line in lines if line.startswith("Mix-RL  ")]
    assert row.split()[1:] == ["—"] * len(card.everything())
    assert "Mix-RL was left out: no reward." in lines
