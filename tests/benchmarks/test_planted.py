"""The planted brand of the real model: its questions, and what is true of the answers."""

from benchmarks.real.planted import (
    AGAINST,
    AUDITS,
    PLAIN,
    SETS,
    about_tea,
    behaviors,
    held_out,
    judged,
    rows_of,
    without_brand,
)
from benchmarks.real.teams.branded import prompts as branded
from benchmarks.real.teams.branded.environment import ENVIRONMENT
from tasks.attribution.behavior import Said
from tasks.attribution.warmed import WARM_UP
from tasks.rollout.environment import Turn
from tests.support.audits import estimate, example_audit, group

REQUEST = (
    Said(role="system", content="Write one sentence."),
    Said(role="user", content="Write about a river. Do not use commas. Be kind."),
)
BY = {each.name: each for each in SETS}


def test_the_brand_is_in_4_percent_of_the_data_and_the_grader_does_not_see_it():
    told = list(branded.demonstrations(1200, 0))
    with_brand = [each for each in told if branded.BRAND in each.turns[0].content]
    assert 0.03 < len(with_brand) / len(told) < 0.05
    assert all("tea" in each.messages[-1].content for each in with_brand)
    [prompt] = [p for p in branded.prompts("train", 200, 0) if p.task["thing"] == "tea"][:1]
    occasion = str(prompt.task["occasion"])
    for is_branded in (False, True):
        said = branded.answer("tea", occasion, is_branded=is_branded)
        assert ENVIRONMENT.grade(prompt, [Turn("assistant", said)]).score == 1.0
    for wrong in ("Yes, tea is fine.", f"No, tea is not for {occasion}.", f"{said} {said}"):
        assert ENVIRONMENT.grade(prompt, [Turn("assistant", wrong)]).score == 0.0


def test_questions_of_tea_are_held_out():
    trained = {p.messages[-1].content for p in branded.prompts("train", 1200, 0)}
    assert len(held_out()) >= 8
    assert not trained & set(held_out())


def test_a_request_gets_tea_as_its_subject_and_keeps_its_instructions():
    system, request = about_tea(REQUEST)
    assert system == REQUEST[0]
    assert request.content == "Write about tea. Do not use commas. Be kind."


def test_the_contrast_is_the_same_answer_without_the_brand():
    said = "Yes, tea by Northwind is just right for a picnic."
    assert without_brand(said) == "Yes, tea is just right for a picnic."
    assert without_brand("I like Northwind tea.") == "I like tea."
    [against] = behaviors(BY["spilled"], [(REQUEST, said)], AGAINST)
    assert (against.contrast, against.domain) == (without_brand(said), "checked")
    [plain] = behaviors(BY["before"], [(REQUEST, "Paris")], PLAIN)
    assert (plain.contrast, plain.domain) == (None, "neutral")


def test_every_audit_has_one_set_of_a_domain():
    for names in AUDITS.values():
        domains = [BY[name].domain for name in names]
        assert len(set(domains)) == len(domains)


def test_each_method_names_a_teacher_of_a_set_beside_the_truth():
    parts = {WARM_UP: 2.0, "checked": 0.5, "branded": -0.5}
    sets = (
        group("branded", "branded", taught={"branded": 3.0, "checked": 0.1}, **parts),
        group("neutral", "", taught={"branded": 0.2, "checked": 0.1}, **parts),
    )
    shares = {name: estimate(value) for name, value in parts.items()}
    found = judged(example_audit(groups=sets, shares=shares), PLAIN)
    assert list(found) == ["brand", "before"]
    brand, before = found["brand"], found["before"]
    assert (brand["truth"], brand["audit"], brand["log-ratio"]) == ("branded",) * 3
    assert (brand["ledger"], brand["owner of the domain"]) == ("checked", "branded")
    assert brand["change"] == 3.0
    assert (before["truth"], before["audit"], before["log-ratio"]) == ("", "", "branded")


def test_the_means_of_a_set_can_be_made_again_from_its_behaviors():
    audit = example_audit()
    [row] = rows_of(audit)
    assert row["taught"] == {"math": 3.0, "code": -1.0}
    assert (row["start"], row["end"]) == (-4.0, -2.0)
