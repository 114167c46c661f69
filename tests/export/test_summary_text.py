"""What the console shows first of a finished run."""

import json

from lineage.view.summary import Score, Summary, text_of
from workflows.commands.models import conclude


def test_lines_hold_name_scores_comparisons_and_places():
    summary = Summary(
        kind="student",
        name="student.general@2",
        digest="sha256:" + "a" * 64,
        verdict="active, all teachers fit",
        scores=[Score(what="math", value=0.9, against={"fork_point": 0.5, "teacher": 0.95})],
        warnings=["not measured\x1b[2J"],
        report="the/report.html",
    )
    assert text_of(summary).splitlines() == [
        "student.general@2: active, all teachers fit",
        "math: 0.90 (fork point 0.50, teacher 0.95)",
        "warning: not measured[2J",
        "report: the/report.html",
        f"digest: sha256:{'a' * 64}",
    ]


def test_a_control_that_was_left_out_follows_the_scores(capsys):
    summary = Summary(
        kind="student",
        name="student.general@2",
        digest="sha256:" + "a" * 64,
        verdict="active",
        scores=[Score(what="math", value=0.9)],
        left_out={"off_policy_sft": "cut off\x1b[2J"},
    )
    line = "left out off policy sft: cut off[2J"
    assert text_of(summary).splitlines()[1:3] == ["math: 0.90", line]
    conclude(summary)
    said = capsys.readouterr().out.splitlines()
    assert said.index("verdict  active") == said.index(line) + 1
    conclude(summary, as_document=True)
    assert json.loads(capsys.readouterr().out)["left_out"] == summary.left_out
