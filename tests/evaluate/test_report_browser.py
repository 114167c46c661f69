"""The page in a real browser: nothing overflows, wide or narrow, and the keyboard reaches all."""

import pytest

from tasks.evaluate.report import render_report
from tests.support.browser import MARKS, measure
from tests.support.report_example import example_report, example_rollout

pytestmark = MARKS


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_nothing_is_wider_than_the_screen_or_its_box(tmp_path, width):
    measured = measure(tmp_path, render_report(example_report()), width)
    assert measured["width"] == width
    assert measured["scroll"] <= width
    assert measured["outside"] == []
    assert measured["text"] > 2_000
    assert measured["unreached"] == []
    assert measured["first"] == "skip"


def test_an_endless_word_and_a_script_in_a_rollout_change_nothing(tmp_path):
    attack = "<script>document.title='changed'</script><img src=x onerror=\"document.title='x'\">"
    rollouts = (
        example_rollout("math", student="w" * 3_000),
        example_rollout("code", student=attack),
    )
    measured = measure(tmp_path, render_report(example_report(rollouts=rollouts)), 390)
    assert measured["scroll"] <= 390
    assert measured["outside"] == []
    assert measured["title"] == "Consolidation report"
