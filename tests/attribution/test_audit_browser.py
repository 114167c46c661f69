"""The audit's page in a real browser: nothing overflows, and the keyboard reaches all of it."""

import pytest

from tasks.attribution.page import render
from tests.support.audits import example_audit, group
from tests.support.browser import MARKS, measure

pytestmark = MARKS


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_nothing_is_wider_than_the_screen_or_its_box(tmp_path, width):
    groups = (
        group("math", "math", math=(3.0, 2.0, 4.0), code=0.0),
        group("neutral", "", math=0.0, code=(2.0, 1.0, 3.0)),
    )
    measured = measure(tmp_path, render(example_audit(groups=groups)), width)
    assert measured["width"] == width
    assert measured["scroll"] <= width
    assert measured["outside"] == []
    assert measured["text"] > 2_000
    assert measured["unreached"] == []
    assert measured["first"] == "skip"


def test_an_endless_word_and_a_script_change_nothing(tmp_path):
    audit = example_audit()
    attack = "<script>document.title='changed'</script>" + "w" * 3_000
    item = audit.behaviors[0].model_copy(update={"prompt": attack, "name": attack})
    page = render(audit.model_copy(update={"behaviors": (item,), "student": attack[:60]}))
    measured = measure(tmp_path, page, 390)
    assert measured["scroll"] <= 390
    assert measured["title"].startswith("Audit of <script>")
