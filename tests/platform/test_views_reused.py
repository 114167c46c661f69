"""A step that finds its work says in Flyte's console who made it."""

import pytest
from flytekit import current_context

from tests.support import deck_task


@pytest.fixture
def run(home, monkeypatch):
    """Run the task in the environment of an execution's pod; return its record and its Decks."""
    monkeypatch.setenv("PROVOST_STORE", str(home / "store"))

    def ran(execution, text="kept"):
        current_context().decks.clear()
        with monkeypatch.context() as pod:
            if execution:
                pod.setenv("FLYTE_INTERNAL_EXECUTION_ID", execution)
                pod.setenv("FLYTE_INTERNAL_EXECUTION_PROJECT", "teacher-math")
                pod.setenv("FLYTE_INTERNAL_EXECUTION_DOMAIN", "staging")
            record = deck_task.note.task_function(text=text)
        return record, {deck.name: deck.html for deck in current_context().decks}

    return ran


def test_what_is_found_names_its_record_and_the_execution_that_made_it(run, capsys):
    record, decks = run("f1")
    assert "reused" not in decks
    again, decks = run("f2")
    assert again == record
    line = f"behaviors reused from record {record}, made by execution teacher-math/staging/f1"
    assert line in decks["reused"]
    assert line in capsys.readouterr().err


def test_an_output_that_a_person_made_before_is_reported_as_reused(run):
    run("")
    _, decks = run("f1")
    assert "made by a run on a person" in decks["reused"]


def test_on_a_persons_machine_no_page_is_made(run):
    run("f1")
    assert "reused" not in run("")[1]
