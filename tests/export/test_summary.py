"""The end of a run, told again later: what was made beside what it is compared with."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from transformers import AutoModelForCausalLM

from lineage.artifacts import Artifact, Release, put_manifest, read_manifest
from lineage.errors import UnknownReferenceError
from lineage.export.card import card_of
from lineage.export.licenses import license_of
from lineage.export.subject import subject_of
from lineage.registry.registry import Registry
from lineage.view.summary import summary_of
from tests.support.exported_family import take_failure
from tests.support.making import take, write_record
from workflows.cli import main
from workflows.commands.documents import Weights


def said(*arguments, code=0):
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "300"})
    assert result.exit_code == code, result.output
    return result.output


def test_scores_are_beside_the_values_they_are_compared_with(family):
    summary = summary_of(family.store, "student@released")
    scores = {score.what: score for score in summary.scores}
    # fork point 0.4, teacher 0.5, student 0.6, each with 0.05 on both sides
    assert scores["math"].value == pytest.approx(0.6)
    assert scores["math"].low == pytest.approx(0.55)
    assert scores["math"].against == {
        "fork_point": pytest.approx(0.4),
        "teacher": pytest.approx(0.5),
    }
    assert (summary.kind, summary.name) == ("student", "student.general@1")
    assert (summary.digest, summary.aliases) == (family.student[1], ["released"])


def test_a_teacher_is_compared_with_the_fork_point(family):
    summary = summary_of(family.store, "math@1")
    assert summary.kind == "teacher"
    assert {score.what: score.against for score in summary.scores} == {
        "math": {"fork_point": pytest.approx(0.4)},
        "code": {"fork_point": pytest.approx(0.4)},
    }


def test_what_is_worse_than_it_began_or_solves_nothing_is_a_warning(family):
    scores = {
        "fork_point": {"mean": 0.4, "low": 0.35, "high": 0.45, "n": 400},
        "teacher": {"mean": 0.2, "low": 0.15, "high": 0.25, "n": 400},
    }
    solved = {**scores, "teacher": {"mean": 0.0, "low": 0.0, "high": 0.01, "n": 400}}
    unclear = {**scores, "teacher": {"mean": 0.38, "low": 0.33, "high": 0.43, "n": 400}}
    card = {"math": scores, "code": solved, "agent": unclear}
    summary = summary_of(family.store, released(family, card))
    assert [warning.partition(":")[0] for warning in summary.warnings] == ["math", "code"]


def test_a_control_that_the_scorecard_lacks_keeps_its_reason_and_takes_no_row_of_a_domain(family):
    scores = {"teacher": {"mean": 0.6, "low": 0.5, "high": 0.7, "n": 400}}
    name = released(family, {"math": scores, "left_out": {"off_policy_sft": "cut off"}})
    summary = summary_of(family.store, name)
    assert summary.left_out == {"off_policy_sft": "cut off"}
    assert [score.what for score in summary.scores] == ["math"]
    subject = subject_of(family.store, name)
    text = card_of(subject, license_of(subject))
    assert "Left out of the comparison is off\\_policy\\_sft: cut off." in text
    assert "| left" not in text
    assert summary_of(family.store, "math@1").left_out == {}


def released(family, card):
    """Release the math teacher again with another scorecard; return the new version."""
    old = read_manifest(family.store, family.releases["math"][1], Release)
    digest = family.store.put_bytes(json.dumps(card).encode())
    changed = {"scorecard": Artifact(kind="scorecard", digest=digest)}
    manifest = put_manifest(family.store, old.model_copy(update=changed))
    made = write_record(
        family.store,
        b"",
        take("checkpoint", family.teachers["math"]),
        kind="release",
        output=manifest,
        output_kind="release",
        number=2,
    )
    artifact = Artifact(kind="release", digest=manifest, record=made[0])
    entry = Registry(family.store).register("teacher.math", artifact, owner="math-team")
    return f"math@{entry.version}"


def test_a_recalled_ancestor_is_a_warning_and_a_recalled_version_is_still_described(family):
    Registry(family.store).recall("teacher.math", 1, by="lead", reason="leak")
    assert "recalled: teacher.math@1: leak" in summary_of(family.store, "student@1").warnings
    assert summary_of(family.store, "math@1").verdict == "recalled"


def test_the_time_is_the_runs_where_it_is_known_and_else_the_records(family):
    assert summary_of(family.store, "student@1", 12.5).seconds == 12.5
    assert summary_of(family.store, "student@1").seconds is None  # made in no time at all


def test_the_page_of_the_report_is_named_where_there_is_one(family, tmp_path):
    assert summary_of(family.store, "student@1").report is None
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("<p>")
    tree = family.store.put_tree(tmp_path / "report")
    write_record(
        family.store,
        b"",
        take("student", family.student),
        kind="report",
        output=tree,
        output_kind="report",
    )
    page = Path(summary_of(family.store, "student@1").report)
    assert page.read_text() == "<p>"


def test_an_earlier_failed_attempt_does_not_count_against_the_student(family):
    take_failure(family)
    assert summary_of(family.store, "student@1").verdict == "active, teachers not measured"


@pytest.mark.parametrize(("group", "reference"), [("student", "student@1"), ("teacher", "math@1")])
def test_show_prints_it_and_every_command_that_it_names_exists(family, group, reference):
    lines = said(group, "show", reference).splitlines()
    assert any(line.startswith("weights  ") for line in lines)
    commands = [line.removeprefix("next").strip() for line in lines if line.startswith("next")]
    assert commands
    for words in map(shlex.split, commands):
        assert words[0] == "provost"
        said(*[word for word in words[1:] if not word.startswith("-")][:2], "--help")


def test_show_of_another_kind_is_refused(family):
    said("student", "show", "math@1", code=1)
    said("teacher", "show", "student@1", code=1)


def test_weights_names_a_folder_that_transformers_loads(family):
    folder = said("student", "weights", "student@1").splitlines()[0]
    assert AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    document = Weights.model_validate_json(said("student", "weights", "student@1", "--json"))
    assert document.folder == folder
    assert shlex.split(document.serve)[:3] == ["vllm", "serve", folder]


def test_what_names_nothing_is_refused(family):
    with pytest.raises(UnknownReferenceError):
        summary_of(family.store, "student.nope@1")


@pytest.mark.parametrize("kind", ["surgery", "rehearsal"])
def test_a_student_without_a_teacher_says_that_it_was_not_measured(family, kind):
    made = family.model(99, take("student", family.fork), kind=kind)
    summary = summary_of(family.store, made[1])
    assert (summary.kind, summary.verdict) == ("surgery", "made, not measured")
    assert len(summary.warnings) == 1
    assert summary_of(family.store, family.fork[1]).kind == "checkpoint"
