"""What people ask of two checkpoints, of a recall, and of an export."""

import pytest

from lineage.artifacts import Artifact
from lineage.graph.diff import ABSENT, Difference, diff
from lineage.graph.graph import Lineage
from lineage.operations.recall import recall
from lineage.records.record import Input, Records
from lineage.registry.registry import Registry
from tests.support.making import take, write_record


def test_the_same_record_differs_in_nothing(store):
    record, _ = write_record(store, b"a")
    assert diff(Records(store), record, record) == []


def test_a_difference_is_followed_to_the_record_where_it_began(store):
    rows = [store.put_bytes(b"old rows"), store.put_bytes(b"new rows")]
    made = []
    for number, digest in enumerate(rows):
        data = Input(role="data", artifact=digest)
        sft = write_record(store, f"sft {number}".encode(), data, rate=0.1 * (number + 1))
        made.append(write_record(store, f"rl {number}".encode(), take("start", sft), kind="rl"))
    found = diff(Records(store), made[0][0], made[1][0])
    assert Difference("start", "settings.rate", "0.1", "0.2") in found
    assert Difference("start", "input data", rows[0], rows[1]) in found
    assert {item.where for item in found} == {"", "start"}
    assert not any(item.what.startswith("settings") for item in found if item.where == "")


def test_an_input_that_only_one_has_and_a_weight_are_differences(store):
    base = write_record(store, b"base", kind="base")
    one = write_record(store, b"1", take("teacher", base, name="math", weight=0.5), kind="mopd")
    two = write_record(
        store,
        b"2",
        take("teacher", base, name="math", weight=0.7),
        take("teacher", base, name="code", weight=0.3),
        kind="mopd",
    )
    found = {(item.what, item.before, item.after) for item in diff(Records(store), one[0], two[0])}
    assert ("weight of teacher math", "0.5", "0.7") in found
    assert ("input teacher code", ABSENT, base[1]) in found


@pytest.fixture
def recalled(store, tmp_path):
    """math is released; a student took its checkpoint; a later one descends from that student."""
    fork = write_record(store, b"fork", kind="sft")
    math = write_record(store, b"math", take("start", fork), kind="rl", owner="math-team")
    code = write_record(store, b"code", take("start", fork), kind="rl", owner="code-team")
    registry = Registry(store)
    artifact = Artifact(kind="checkpoint", digest=math[1], record=math[0])
    registry.register("teacher.math", artifact, owner="math-team")
    student = write_record(store, b"student", take("teacher", math), kind="mopd")
    later = write_record(store, b"later", take("student", student), kind="mopd", owner="bob")
    write_record(store, b"other", take("teacher", code), kind="mopd", owner="carol")
    write_record(store, b"card", take("x", student), kind="evaluation", output_kind="scorecard")
    artifact = Artifact(kind="checkpoint", digest=student[1], record=student[0])
    registry.register("student.general", artifact, owner="alice")
    lineage = Lineage(store, tmp_path / "index.db")
    return recall(store, lineage, "math@1", "lead", "leak"), student, later


def test_a_recall_lists_descendants_and_their_owners(recalled):
    done, student, later = recalled
    assert [item.record for item in done.affected] == [student[0], later[0]]
    assert done.affected[0].names == ("student.general@1",)
    assert done.owners == ("alice", "bob")
