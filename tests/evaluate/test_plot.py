"""The figure: its title is computed, its axes are honest, nothing overlaps or leaves the canvas."""

import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from tasks.evaluate.plot import scorecard_figure, write_plot
from tasks.evaluate.scorecard import make_scorecard
from tasks.evaluate.scores import Outcomes
from tasks.evaluate.wording import headline
from tests.support.scorecard_example import DOMAINS, example_outcomes, example_scorecard


@pytest.fixture(scope="module")
def card():
    return example_scorecard()


def many_domains(count: int):
    full = example_outcomes()
    names = [f"domain{index}" for index in range(count)]
    return make_scorecard(
        Outcomes(
            methods={m: dict.fromkeys(names, row["math"]) for m, row in full.methods.items()},
            teachers={name: {name: full.teachers["math"]["math"]} for name in names},
            settings=full.settings,
        ),
        resamples=100,
    )


def with_seed(card, seed: int):
    """The card with a seed as long as a date, as a consolidation has it."""
    return card.model_copy(update={"settings": card.settings.model_copy(update={"seed": seed})})


def title_of(figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_the_title_states_what_this_scorecard_found(card):
    weak = example_scorecard(student=(0.5, 0.5, 0.5, 0.5))
    assert title_of(scorecard_figure(card)).startswith(headline(card))
    assert title_of(scorecard_figure(weak)).startswith(headline(weak))
    assert headline(card) != headline(weak)


def test_the_picture_says_that_its_intervals_are_over_prompts_of_one_run(card):
    assert "One run: mean and 95 % interval over 400 held-out" in title_of(scorecard_figure(card))


def test_every_panel_has_the_whole_score_axis(card):
    panels = scorecard_figure(card).axes
    assert [axes.get_title(loc="left") for axes in panels] == [*DOMAINS, "overall"]
    assert all(axes.get_xlim() == (0, 1) for axes in panels)


def test_every_interval_is_drawn_where_it_is(card):
    for axes, scores in zip(scorecard_figure(card).axes, card.everything().values(), strict=True):
        drawn = {tuple(line.get_xdata()) for line in axes.lines}
        for interval in scores.methods.values():
            assert (interval.low, interval.high) in drawn
            assert (interval.mean,) in drawn


@pytest.mark.medium
@pytest.mark.parametrize("domains", [None, 1, 7])
def test_no_two_texts_overlap_and_none_leaves_the_canvas(card, domains):
    shown = many_domains(domains) if domains else card
    figure = scorecard_figure(with_seed(shown, 20261121))
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    canvas = figure.bbox
    for index, (text, box) in enumerate(boxes):
        assert box.x0 >= canvas.x0, text
        assert box.y0 >= canvas.y0, text
        assert box.x1 <= canvas.x1, text
        assert box.y1 <= canvas.y1, text
        for other, rival in boxes[index + 1 :]:
            assert not box.overlaps(rival), f"{text!r} overlaps {other!r}"


def test_the_png_is_wide_enough_to_read_and_repeatable(card, tmp_path):
    write_plot(card, tmp_path / "first.png")
    write_plot(card, tmp_path / "second.png")
    assert imread(tmp_path / "first.png").shape[1] == 2000
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
