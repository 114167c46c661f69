"""The curves of a run, also of one that stopped, and of one that had nothing to do."""

from lineage.records.derivation import Sample
from tasks.mopd.training_page import groups, rounds_page


def rows(steps, **values):
    return [
        Sample(step, name.replace("__", "/"), value, "mopd")
        for step in steps
        for name, value in values.items()
    ]


def test_each_teacher_has_its_curve_in_the_order_of_steps():
    [kl, reward] = groups(rows([1, 2], kl__math=0.5, kl__code=0.25, reward__math=1.0, loss=3.0))
    assert [(curve.name, curve.points) for curve in kl.curves] == [
        ("code", ((1.0, 0.25), (2.0, 0.25))),
        ("math", ((1.0, 0.5), (2.0, 0.5))),
    ]
    assert [curve.name for curve in reward.curves] == ["math"]


def test_what_is_not_finite_is_left_out():
    assert groups([Sample(1, "kl/math", float("nan"), "mopd")]) == []


def test_rounds_are_in_order_and_a_run_without_any_is_reported():
    page = rounds_page([rows([1], kl__math=0.5), rows([1, 2], kl__math=0.25)])
    assert page.index("Round 1") < page.index("Steps 1 to 1,") < page.index("Round 2")
    assert "Nothing was trained in this run" in rounds_page([])
    assert "Nothing was trained in this run" in rounds_page([[]])


def test_a_hostile_name_is_text():
    page = rounds_page([[Sample(1, "kl/<script>alert(1)</script>", 0.5, "mopd")]])
    assert "<script" not in page
