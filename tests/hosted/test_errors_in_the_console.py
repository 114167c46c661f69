"""What Flyte's console shows of a failure: its box has three lines, its lists 100 characters."""

from flyteidl.core import literals_pb2

from tasks.release.task import collect_domain, resolve_checkpoint
from tests.hosted.test_container import box, text, whole
from tests.support import failing_task
from tests.support.container import ROOT, Container

HERE = {"PYTHONPATH": str(ROOT)}
SHOWN = 100


def ended(folder, ending):
    return Container(failing_task.fail, folder, {"ending": ending}).run(**HERE)


def test_a_refusal_is_our_sentence_without_frames(tmp_path):
    error = ended(tmp_path / "pod", "refusal").error
    assert error.code == "USER:UnknownReferenceError"
    assert failing_task.SENTENCE[:70] in error.message[:SHOWN]
    assert "Traceback" not in error.message
    assert '.py", line' not in error.message


def test_a_fault_of_code_says_what_first_and_keeps_its_frames(tmp_path):
    error = ended(tmp_path / "pod", "fault").error
    assert error.code == "USER:KeyError"
    assert "KeyError: 'math'" in error.message[:SHOWN]
    assert "in fail" in error.message
    assert '.py", line' in error.message


def test_an_unknown_reference_is_named_in_the_first_characters(tmp_path):
    pod = Container(resolve_checkpoint, tmp_path / "pod", {"reference": "math@released"})
    assert "math" in pod.run().error.message[:SHOWN]


def test_a_wrong_field_in_a_json_box_is_named_in_the_first_characters(tmp_path):
    settings = {"name": "math", "owner": "team-math", "version": "1.0.0", "owners": "team-math"}
    literals = {
        "package": text("workflows.teachers.math"),
        "settings": box(**settings),
        "seed": whole(0),
    }
    written = literals_pb2.LiteralMap(literals=literals)
    error = Container(collect_domain, tmp_path / "pod", {}, literals=written).run().error
    assert "owners" in error.message[:SHOWN]
    assert "Traceback" not in error.message


def test_the_log_does_not_end_with_the_sessions_that_flytekit_leaves_open(tmp_path):
    left = Container(failing_task.leave_open, tmp_path / "pod", {}).run(**HERE)
    assert left.error is None
    assert "Unclosed" not in left.said
