"""A refusal is a ValueError whose code is stable and whose text is its message."""

import copy

from tasks.contracts.refusal import RefusedError


def test_a_refusal_is_its_message_to_a_person_and_its_code_to_a_caller():
    error = RefusedError("no-ledger", "runs/3 holds no ledger: run one")
    assert isinstance(error, ValueError)
    assert (str(error), error.code) == ("runs/3 holds no ledger: run one", "no-ledger")


def test_a_refusal_can_be_copied_as_another_process_would():
    error = copy.copy(RefusedError("no-ledger", "why"))
    assert (str(error), error.code) == ("why", "no-ledger")


def test_a_refusal_that_flytekit_has_written_into_keeps_code_and_message():
    error = RefusedError("no-ledger", "why")
    error.args = ("Error encountered while executing 'a.task':\n  why",)  # as flytekit does it
    assert str(error).endswith("why")
    assert error.code == "no-ledger"
