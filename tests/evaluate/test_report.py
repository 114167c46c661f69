"""The page: safe, self-contained, complete, and its headline computed."""

import re

import pytest
from markupsafe import escape

from tasks.evaluate.report import render_report
from tasks.evaluate.scorecard import make_scorecard
from tasks.evaluate.scores import Outcomes
from tasks.evaluate.wording import headline
from tasks.reports.curves import Curve
from tasks.reports.rendering import POLICY, TEMPLATES, DrawingError
from tests.support.refused import invalid, raised
from tests.support.report_example import LINEAGE, example_report, example_rollout
from tests.support.scorecard_example import example_outcomes, example_scorecard

STYLE = (TEMPLATES / "style.css").read_text("utf-8")
ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</pre></div></main><iframe src='https://example.org'>",
    '"><svg/onload=alert(1)>',
    "&lt;script&gt;",
)


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(example_report())


def text_of(page: str) -> str:
    return re.sub(r"<[^>]*>", " ", page.partition("</style>")[2])


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_in_a_rollout_is_shown_and_inert(attack):
    page = render_report(example_report(rollouts=(example_rollout("math", student=attack),)))
    assert attack not in page
    assert escape(attack) in page


def test_hostile_names_are_inert_everywhere():
    full = example_outcomes()
    evil = "<script>x</script>"
    hostile = make_scorecard(
        Outcomes(
            methods={
                **{m: {**row, evil: row["math"]} for m, row in full.methods.items()},
                evil: {**full.methods["student"], evil: full.methods["student"]["math"]},
            },
            teachers={**full.teachers, evil: {evil: full.teachers["math"]["math"]}},
            settings=full.settings,
        ),
        resamples=100,
    )
    page = render_report(example_report(scorecard=hostile, title=evil, created=evil))
    assert "<script" not in page


def test_a_page_has_no_script_and_no_event_handler(page):
    assert "<script" not in page
    assert not re.search(r"<[^>]*\son\w+\s*=", page)


def test_the_policy_forbids_everything_but_inline_style_and_images(page):
    meta = f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
    assert meta in page
    assert page.index(meta) < page.index("<style")
    assert POLICY == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_nothing_refers_outside_the_page(page):
    references = re.findall(r"""(?:src|href|action|data)\s*=\s*["']?([^"'\s>]*)""", page)
    assert references
    assert all(reference.startswith("#") for reference in references)
    assert "@import" not in STYLE
    assert "url(" not in STYLE


def test_every_link_leads_to_a_section(page):
    for name in re.findall(r'href="#([^"]*)"', page):
        assert f'id="{name}"' in page


def test_it_is_small_and_repeatable(page):
    assert len(page.encode()) < 300_000
    assert render_report(example_report()) == page


def test_a_long_answer_is_cut_and_says_so():
    rollouts = (example_rollout("math", student="y" * 5_000),)
    page = render_report(example_report(rollouts=rollouts))
    assert "1,000 more characters" in page
    assert "y" * 4_001 not in page


def test_the_headline_follows_the_numbers(page):
    weak = example_scorecard(student=(0.5, 0.5, 0.5, 0.5))
    other = render_report(example_report(scorecard=weak))
    strong = headline(example_report().scorecard)
    assert f"<h1>{strong}</h1>" in page
    assert f"<h1>{headline(weak)}</h1>" in other
    assert strong not in other


def test_every_score_difference_and_share_has_its_interval(page):
    card = example_report().scorecard
    text = text_of(page)
    for name, scores in card.everything().items():
        for interval in scores.methods.values():
            assert f"{interval.low:.2f}\N{EN DASH}{interval.high:.2f}" in text
        for method in ("student", "task_arithmetic"):
            share = scores.normalized[method]
            assert f"{share.low:.2f}\N{EN DASH}{share.high:.2f}" in text
        for interval in card.paired[name].values():
            limits = f"{interval.low:+.2f} to {interval.high:+.2f}".replace("-", "\N{MINUS SIGN}")
            assert limits.replace("+0.00", "0.00") in text
    for row in card.matrix.values():
        for interval in row.values():
            assert f"{interval.low:.2f}\N{EN DASH}{interval.high:.2f}" in text


def test_every_number_in_a_picture_is_in_a_table_with_headers(page):
    strips = page.count('<svg class="strip')
    assert strips == 6 * 5 + 5 * 5  # methods x (domains, overall); comparisons x the same
    assert page.count('<th scope="row">') >= strips
    assert page.count('aria-hidden="true"') >= strips


def test_a_difference_that_may_be_zero_is_marked_as_unclear(page):
    card = example_report().scorecard
    unclear = sum(not each.excludes(0) for row in card.paired.values() for each in row.values())
    assert unclear > 0
    assert page.count('<tr class="unclear">') == unclear


def test_the_lineage_is_inlined_and_an_unsafe_one_refused(page):
    assert LINEAGE in page
    with raised(DrawingError, "active-attribute", "onload"):
        render_report(example_report(lineage='<svg onload="x"/>'))


def test_a_narrow_lineage_takes_the_place_of_the_wide_one_on_a_phone():
    narrow = LINEAGE.replace("900", "360")
    both = render_report(example_report(lineage_narrow=narrow))
    assert f'<div class="on-wide">{LINEAGE}</div>' in both
    assert f'<div class="on-narrow">{narrow}</div>' in both
    assert f'<div class="always">{LINEAGE}</div>' in render_report(example_report())
    with raised(DrawingError, "active-attribute", "onload"):
        render_report(example_report(lineage_narrow='<svg onload="x"/>'))


def test_what_is_not_given_leaves_no_empty_section():
    bare = render_report(example_report(curves=(), rollouts=(), lineage=""))
    for name in ("training", "rollouts", "lineage"):
        assert f'id="{name}"' not in bare
        assert f'href="#{name}"' not in bare


def test_a_curve_that_is_not_a_number_is_refused():
    with invalid("finite_number", "points.0.1"):
        Curve(name="kl", points=((0, float("nan")),))


def test_a_refused_normalized_score_says_why():
    same = example_scorecard(fork_point=(0.93, 0.36, 0.31, 0.48))
    text = text_of(render_report(example_report(scorecard=same)))
    assert "No normalized score in math: the teacher" in text


def test_a_scorecard_without_a_student_makes_no_report():
    full = example_outcomes()
    climb = Outcomes(
        methods={"fork_point": full.methods["fork_point"]},
        teachers=full.teachers,
        settings=full.settings,
    )
    with invalid("no-student"):
        example_report(scorecard=make_scorecard(climb, resamples=100))


def relative_luminance(color: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    darker, lighter = sorted((relative_luminance(one), relative_luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def hexadecimal(text: str) -> tuple[float, ...]:
    return tuple(int(text[start : start + 2], 16) / 255 for start in (0, 2, 4))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(scheme):
    block = STYLE.split(":root {")[scheme + 1].partition("}")[0]
    colors = {name: hexadecimal(v) for name, v in re.findall(r"--(\w+): #(\w{6})", block)}
    heat = [int(part) / 255 for part in re.search(r"--heat: (\d+) (\d+) (\d+)", block).groups()]
    for name in ("ink", "muted", "student", "teacher", "fork"):
        assert contrast(colors[name], colors["page"]) >= 4.5
        assert contrast(colors[name], colors["panel"]) >= 4.5
    strongest = 0.55 + 0.03  # the heat cell of score 1, as the style sheet mixes it
    cell = tuple(
        strongest * h + (1 - strongest) * p for h, p in zip(heat, colors["page"], strict=True)
    )
    assert "calc(var(--value) * .55 + .03)" in STYLE
    assert contrast(colors["ink"], cell) >= 4.5


def test_a_control_that_was_left_out_has_its_row_beside_the_others_and_its_reason_above(page):
    why = "<b>cut off</b>"
    card = example_scorecard().model_copy(update={"left_out": {"mix_rl": why}})
    shown = render_report(example_report(scorecard=card))
    assert f"Mix-RL was left out: {escape(why)}." in shown
    rows = re.findall(r'<tr class="mix_rl"><th scope="row">Mix-RL</th>(.*?)</tr>', shown, re.S)
    assert len(rows) == len(card.everything())
    for row in rows:
        assert "left out" in row
        assert "<svg" not in row
    assert "left out" not in text_of(page)
