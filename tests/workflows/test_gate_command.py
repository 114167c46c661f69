"""What ``provost gate`` says to do next."""

from tasks.contracts.handover import Remedy, TeacherVerdict, Verdict
from workflows.commands.gate import gate, next_launch
from workflows.commands.run import consolidation

GIVEN = {"teachers": "sums@1,words@2", "max_new_tokens": 16, "student": "student.general@3"}
MERGE = (
    "provost run consolidation --teachers sums@1,words@2 --max-new-tokens 16 "
    "--student student.general@3"
)


def misfit(remedy):
    """Return the verdict on a teacher that does not fit."""
    return TeacherVerdict(name="sums", domain="sums", verdict=Verdict.DOES_NOT_FIT, proposed=remedy)


def test_the_next_launch_merges_what_was_measured_as_it_was_measured():
    assert next_launch(GIVEN, []) == [MERGE]


def test_warm_ups_are_part_of_the_next_launch():
    assert next_launch(GIVEN, [misfit(Remedy.WARM_UP)]) == [f"{MERGE} --on-misfit remedy"]


def test_no_launch_follows_where_a_teacher_has_to_climb_again():
    assert next_launch(GIVEN, [misfit(Remedy.WARM_UP), misfit(Remedy.NONE)]) == []


def test_a_consolidation_takes_every_option_of_the_gates_measurement():
    of_the_command = {"out", "as_document"}
    options = {option.name for option in gate.params} - of_the_command
    assert options <= {option.name for option in consolidation.params}
