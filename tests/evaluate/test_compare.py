"""Two consolidations side by side: paired where the prompts are the same, and said where not."""

import jsonschema
import pytest
from rich.console import Console

from lineage.artifacts import Artifact, Student, TeacherShare
from lineage.frozen import NOW
from tasks.evaluate.compare import (
    Comparison,
    Side,
    _difference,
    _differing,
    _teachers,
    _why_not,
    comparison_page,
    comparison_view,
    headline,
)
from tasks.evaluate.scorecard import make_scorecard
from tasks.evaluate.scores import OVERALL, Outcomes, PromptOutcome, ScorecardSettings
from tasks.statistics import mean_of_domains
from workflows.commands.compare import document_of
from workflows.commands.schemas import schema_of

HOSTILE = "<script>alert(1)</script>"


def prompts(*scores):
    return tuple(PromptOutcome(prompt=f"p{n}", scores=(score,)) for n, score in enumerate(scores))


def student(reference="teacher.math@1", waivers=(), **settings):
    def part(kind):
        return Artifact(kind=kind, digest="sha256:" + "a" * 64)

    return Student(
        checkpoint=part("checkpoint"),
        fork_point=part("checkpoint"),
        teachers=(
            TeacherShare(
                domain="math",
                release=part("release").digest,
                reference=reference,
                weight=1.0,
                tokens_routed=1200,
            ),
        ),
        settings=settings,
        scorecard=part("scorecard"),
        controls={},
        plan=part("plan").digest,
        waivers=waivers,
        owner="consolidation",
    )


def side(name, outcomes, *, seed=0, manifest=None, passed=()):
    settings = ScorecardSettings(
        temperature=1.0, samples=1, seed=seed, max_tokens=8, passed=dict(passed)
    )
    card = make_scorecard(
        Outcomes(
            methods={"student": outcomes},
            teachers={domain: {domain: each} for domain, each in outcomes.items()},
            settings=settings,
        ),
        resamples=10,
    )
    return Side(name, "sha256:" + "b" * 64, manifest or student(), card, outcomes)


ONE = side("student.general@1", {"math": prompts(0.0, 0.0, 1.0, 1.0)})
TWO = side("student.general@2", {"math": prompts(1.0, 0.0, 1.0, 1.0)})


def test_the_difference_is_the_second_minus_the_first_prompt_by_prompt():
    difference = _difference("math", ONE, TWO)
    # Differences 1, 0, 0, 0: mean 1/4, standard deviation 1/2, t of 3 degrees 3.18.
    assert difference.mean == 0.25
    assert 0.25 - difference.low == pytest.approx(3.182 * 0.25, rel=0.005)
    assert difference.high == 1.0  # no difference of scores is larger
    assert _difference("math", TWO, ONE).mean == -0.25


def test_the_order_in_which_prompts_are_stored_does_not_matter():
    turned = side("student.general@2", {"math": tuple(reversed(prompts(1.0, 0.0, 1.0, 1.0)))})
    assert _difference("math", ONE, turned) == _difference("math", ONE, TWO)


def test_unpaired_results_are_named():
    assert _why_not("math", ONE, TWO) == ""
    assert "student.general@1 was not evaluated" in _why_not("code", ONE, TWO)
    fewer = side("b", {"math": prompts(1.0, 0.0)})
    assert "held-out prompts differ" in _why_not("math", ONE, fewer)
    other = side("b", {"math": prompts(0.0, 0.0, 1.0, 1.0)}, seed=5)
    assert "sampled with other settings" in _why_not("math", ONE, other)


def test_what_was_measured_alike_is_paired_whatever_else_a_student_contains():
    math, code = prompts(0.0, 0.0, 1.0, 1.0), prompts(1.0, 0.0)
    one = side("a", {"math": math, "code": code}, passed={"math": 1.0, "code": 0.5})
    two = side("b", {"math": math}, passed={"math": 1.0})
    assert _why_not("math", one, two) == ""
    stricter = side("b", {"math": math}, passed={"math": 0.5})
    assert "0.5" in _why_not("math", one, stricter)


def test_a_setting_of_an_older_student_has_its_present_name():
    [before] = [name for name, now in NOW.items() if now == "normalization"]
    older = side("x", {"math": prompts(1.0, 0.0)}, manifest=student(loop={before: "mean"}))
    assert older.facts()["loop.normalization"] == "mean"


def test_settings_and_teachers_that_differ_are_listed():
    assert _differing({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == {
        "a": ("1", "-"),
        "b": ("2", "3"),
        "c": ("-", "4"),
    }
    assert _teachers(student(), student("teacher.math@2")) == {
        "math": ("teacher.math@1, 100%, 1,200 tokens", "teacher.math@2, 100%, 1,200 tokens")
    }
    waived = "sha256:" + "c" * 64
    told = side("x", {"math": prompts(1.0, 0.0)}, manifest=student(waivers=(waived,))).facts()
    assert told["waivers"] == waived


def comparison(one=ONE, two=TWO):
    differences = {"math": _difference("math", one, two)}
    return Comparison(
        first=one,
        second=two,
        settings={"loop.num_steps": ("120", HOSTILE)},
        teachers={"math": (HOSTILE, "teacher.math@2")},
        differences={**differences, OVERALL: mean_of_domains(list(differences.values()))},
        not_paired={},
    )


def test_the_headline_claims_nothing_that_the_interval_does_not_show():
    assert headline(comparison()).startswith("No difference")
    many = {"math": prompts(*[0.0] * 30, *[1.0] * 30)}, {"math": prompts(*[1.0] * 60)}
    one, two = (side(f"student.general@{n}", each) for n, each in enumerate(many, start=1))
    better = "student.general@2 is better than student.general@1 overall, by 0.50"
    assert headline(comparison(one, two)) == headline(comparison(two, one)) == better


def test_its_json_keeps_to_the_documented_schema():
    found = comparison()
    document = document_of(found).model_dump(mode="json")
    jsonschema.validate(document, schema_of("compare"))
    assert document["first"]["reference"] == found.first.name
    assert document["differences"].keys() == found.differences.keys()
    [(domain, interval), *_] = found.differences.items()
    assert document["differences"][domain]["mean"] == interval.mean


def test_page_and_terminal_show_both_and_run_nothing():
    page = comparison_page(comparison())
    assert "<script" not in page
    console = Console(width=120)
    with console.capture() as shown:
        console.print(comparison_view(comparison()))
    for text in ("student.general@1", "0.50", "0.75", "+0.25", "loop.num_steps"):
        assert text in page
        assert text in shown.get()
