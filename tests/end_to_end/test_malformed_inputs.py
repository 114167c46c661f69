"""Forty malformed inputs of a new user: each ends in one message, with a status that is not 0.

``TABLE`` says which test holds the message's type and status for each of them; what has no test
elsewhere has one here.
"""

import ast

import pytest
from click.testing import CliRunner

from tests.support.project_files import ROOT
from tests.support.refusals import refusal
from tests.support.tiny_faculty import Contents
from workflows.cli import main

HERE = "end_to_end/test_malformed_inputs.py::"
CLIMB = "end_to_end/test_bad_input_of_a_climb.py::"
MERGE = "end_to_end/test_bad_input_of_a_consolidation.py::"
HOMES = "workflows/test_bad_homes.py::"
FILES = "workflows/test_team_files.py::"
MAKE = "architecture/test_make.py::"
BUNDLE = "rollout/test_bundle.py::"
ROWS = "rollout/test_prompts.py::"
LAUNCH = HERE + "test_a_launch_that_cannot_be_is_refused"
STUDENT = HERE + "test_a_question_about_a_student_that_cannot_be_is_refused"
TYPED = HERE + "test_an_unknown_command_or_option_is_refused"

TABLE = {
    "gate --teachers mth@released": LAUNCH,
    "--teachers mth@released": MERGE
    + "test_an_unknown_teacher_is_named_with_the_nearest_that_exists",
    "--student sudent@released": LAUNCH,
    "--teachers math@99": MERGE + "test_an_unknown_version_is_named_with_those_that_exist",
    "--teachers math@1x": LAUNCH,
    '--teachers ""': LAUNCH,
    "--teachers code=abc": LAUNCH,
    "--teachers code twice": MERGE + "test_one_teacher_named_twice_is_refused",
    "--learning-rate nan": LAUNCH,
    "--mopd-steps -5": LAUNCH,
    "--mopd-steps abc": TYPED,
    "--settings health.runawy=stop": LAUNCH,
    "--balance-weights alone": LAUNCH,
    "audit with a prompt and no response": STUDENT,
    "surgery --without romn": STUDENT,
    "run teacher romn": CLIMB + "test_an_unknown_team_is_named_with_the_teams_that_exist",
    "run consolidaton": TYPED,
    "run teacher before any foundation": HOMES
    + "test_a_climb_without_a_foundation_is_refused_with_the_command_that_makes_one",
    "JSONL: an empty file": CLIMB + "test_an_empty_prompt_file_is_named",
    "JSONL: broken JSON": CLIMB + "test_a_malformed_prompt_is_named_by_file_and_line",
    "JSONL: a field of the wrong type": ROWS + "test_a_bad_line_is_refused_by_file_and_line",
    "JSONL: no turns": ROWS + "test_a_demonstration_must_end_with_the_models_words",
    "JSONL beside prompts.py": "rollout/test_jsonl_domain.py::"
    "test_data_beside_a_generator_is_refused_as_it_would_not_be_read",
    "prompts.py: syntax": BUNDLE + "test_what_is_not_python_is_refused",
    "environment.py: no ENVIRONMENT": BUNDLE + "test_an_environment_that_is_not_set_is_refused",
    "prompts.py: a wrong signature": BUNDLE
    + "test_a_function_that_is_missing_or_takes_something_else_is_refused",
    "grade() returns 1.0": CLIMB
    + "test_an_environment_that_grades_nothing_is_found_before_any_training",
    "settings.py: verson": FILES + "test_the_command_ends_with_status_1_and_no_traceback",
    "settings.py: a wrong type": FILES + "test_a_mistake_in_the_settings_is_named_by_file_and_line",
    "settings.py: syntax": FILES + "test_a_mistake_in_the_settings_is_named_by_file_and_line",
    "workflow.py without climb": FILES + "test_a_workflow_without_climb_is_named",
    "PROVOST_HOME cannot be written": HOMES + "test_a_home_that_this_user_cannot_make_is_named",
    "PROVOST_HOME is a file": HOMES + "test_a_home_that_is_a_file_is_named_by_its_variable",
    "teacher list in another folder": HOMES
    + "test_who_only_reads_leaves_nothing_in_another_folder",
    "make ui, port in use": MAKE + "test_the_page_of_runs_says_when_its_port_is_taken",
    "make ui before a demo": MAKE + "test_the_page_of_runs_says_when_there_is_nothing_to_show",
    "Ctrl-C": "workflows/test_process_signals.py::"
    "test_an_interrupt_ends_all_children_and_says_how_to_go_on",
    "a disk of 3 MB": CLIMB + "test_a_full_disk_stops_the_climb_and_room_lets_it_go_on",
    "lineage show beside a full disk": HOMES + "test_lineage_is_shown_beside_a_full_disk",
    "a consolidation with 3 MB left": "gate/test_disk.py::"
    "test_the_room_must_hold_all_that_is_stored",
    "no Python 3.11 or 3.12": MAKE + "test_a_machine_without_a_suitable_python_gets_an_instruction",
    "make PYTHON=python3.13": MAKE + "test_a_python_of_another_version_is_named",
    "make demo with a broken .venv": MAKE + "test_an_environment_that_does_not_start_is_made_again",
    "rm -rf of a home": MAKE + "test_runs_are_deleted_although_their_trees_are_read_only",
}
"""Input of the diary -> the test that holds what becomes of it."""


@pytest.mark.parametrize("place", sorted(set(TABLE.values())))
def test_each_input_of_the_table_has_its_test(place):
    file, _, name = place.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_table_has_the_forty_inputs_of_the_diary():
    assert len(TABLE) >= 40


def consolidation(*options):
    return ("run", "consolidation", *options)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("gate", "--teachers", "shuot@released"), "did you mean 'shout'?"),
        (consolidation("--student", "frok-point@released"), "did you mean 'fork-point'?"),
        (consolidation("--teachers", "shout@1x"), "has no '1x'"),
        (consolidation("--teachers", ""), "write name@version"),
        (consolidation("--teachers", "shout@1=abc"), "'abc'"),
        (consolidation("--learning-rate", "nan"), "learning_rate"),
        (consolidation("--mopd-steps", "-5"), "mopd_steps"),
        (consolidation("--settings", "health.runawy=stop"), "did you mean 'health.runaway'?"),
        (consolidation("--balance-weights", "shout=2"), "balance"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_a_launch_that_cannot_be_is_refused(teachers, command, named):
    before = Contents.now().records
    if command[0] == "run" and "--teachers" not in command:
        command += ("--teachers", "shout@released,whisper@released")
    assert named in " ".join(refusal(*command).split())
    assert Contents.now().records == before


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("audit", "student@released", "--prompt", "abcd"), "response"),
        (("audit", "student@released", "--response", "abcd"), "prompt"),
        (("surgery", "student@released", "--without", "shuot"), "shuot"),
        (("surgery", "student@released", "--without", "shuot", "--rehearse"), "shuot"),
        (("surgery", "student@released"), "no weight was given"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_a_question_about_a_student_that_cannot_be_is_refused(student, command, named):
    before = Contents.now().records
    assert named in " ".join(refusal(*command).split())
    assert Contents.now().records == before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("run", "consolidaton"), "consolidaton"),
        (consolidation("--mopd-steps", "abc"), "'abc' is not a valid integer"),
        (consolidation("--mopd-stesp", "3"), "--mopd-steps"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_an_unknown_command_or_option_is_refused(command, said):
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2  # click's own
    assert isinstance(result.exception, SystemExit)
    assert said in result.output
