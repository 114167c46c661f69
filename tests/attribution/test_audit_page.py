"""The audit's page: complete, safe, and the same for the same audit."""

import re

import pytest

from tasks.attribution.document import Audit
from tasks.attribution.page import course, render
from tasks.attribution.page_shares import domain_groups, weight_rows
from tests.support.audits import example_audit, group

ATTACK = "<script>alert(1)</script>"


def test_tokens_have_the_class_of_their_largest_source_and_how_strong_it_is():
    page = render(example_audit())
    # 2.0 of the 3 nats that are strongest; the second token was pushed against
    assert 'class="s0" style="--value:0.67" title="math +2.00 of +1.00 nats">4</span>' in page
    assert 'class="s0 against" style="--value:0.33"' in page


def test_a_set_off_its_domain_is_marked():
    groups = (
        group("math", "math", math=(3.0, 2.0, 4.0), code=0.0),
        group("neutral", "", math=0.0, code=(2.0, 1.0, 3.0)),
    )
    [math, neutral] = domain_groups(example_audit(groups=groups))
    assert [cell.kind for cell in math.cells] == ["own", "other"]
    assert [cell.kind for cell in neutral.cells] == ["other", "off"]


def test_without_retrains_the_page_has_no_section_of_absence():
    page = render(example_audit(verification=None))
    assert 'id="absence"' not in page
    assert 'href="#absence"' not in page


def test_the_parts_of_the_weights_change_are_shown_with_the_predicted_rounding():
    page = render(example_audit())
    assert 'id="weights"' in page
    rows = weight_rows(example_audit().weights)
    assert [row[:2] for row in rows] == [
        ["math", "1.5"],
        ["code", "0.75"],
        ["decay", "0"],
        ["rounding", "0.00031"],
        ["unexplained", "1e-12"],
    ]
    assert "0.0003" in rows[3][2]


def test_an_audit_from_before_shows_no_weights():
    older = example_audit().model_dump(exclude={"weights"}, mode="json")
    assert 'id="weights"' not in render(Audit.model_validate(older))


def test_saving_in_less_precision_is_a_stretch_of_its_own():
    made = example_audit()
    saving = made.course[-1].model_copy(update={"first_step": 21, "last_step": 20})
    assert [
        row[0] for row in course(made.model_copy(update={"course": (*made.course, saving)})).rows
    ] == [
        "1 to 10",
        "11 to 20",
        "saving",
    ]


def test_every_link_leads_to_a_section():
    page = render(example_audit())
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(re.findall(r'id="([^"]+)"', page))
    assert len(targets) == 12


@pytest.mark.parametrize("field", ["prompt", "response", "name", "contrast"])
def test_responses_of_models_are_shown_and_escaped(field):
    audit = example_audit()
    item = audit.behaviors[0].model_copy(update={field: ATTACK})
    page = render(audit.model_copy(update={"behaviors": (item,)}))
    assert "<script" not in page


def test_the_page_refers_to_nothing_outside_and_is_the_same_again():
    page = render(example_audit())
    assert not re.search(r"(?:href|src)=\"(?!#)", page)
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert page == render(example_audit())


def test_with_several_domains_crossings_come_first():
    groups = (
        group("math", "math", math=3.0, code=0.0),
        group("neutral", "", math=0.0, code=2.0),
    )
    several, one = render(example_audit(groups=groups)), render(example_audit())
    assert several.index('id="domains"') < several.index('id="sources"')
    assert 'href="#domains">Skip to the findings' in several
    assert 'href="#sources">Skip to the findings' in one


def test_an_approximate_split_is_labeled_before_any_number():
    page = render(example_audit(approximate="The split is approximate."))
    assert page.index("The split is approximate.") < page.index('id="sources"')
