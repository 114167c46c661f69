"""What the console shows first of a finished run."""

from lineage.view.summary import Score, Summary, text_of


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
