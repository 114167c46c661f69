"""A plan names what two tokenizers differ in, and accepts what scores nothing."""

import pytest

from tasks.gate.plan import make_plan, propose
from tasks.model.files import Policy, save_policy
from tasks.model.identity import template_digest, tokenizer_digest
from tasks.model.training_templates import replace_template
from tasks.platform.step_runner import StepRunner
from tests.gate.test_plan import Faculty, refusal
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.templates import text_of
from tests.support.tiny_models import tiny_policy, tokenizer, with_template


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


def with_other(runner, folder, **special):
    """Release a teacher with the student's tokenizer, in which some special tokens differ."""
    other = with_template(tokenizer().chat_template)
    for name, token in special.items():
        setattr(other, name, token)
    saved = save_policy(Policy(tiny_policy().model, other), folder / "other")
    held = {"tokenizer": tokenizer_digest(other), "template": template_digest(other)}
    Faculty(runner).teacher("math", 1, checkpoint=runner.store.put_tree(saved), **held)


def test_another_end_token_is_refused_by_name(runner, tmp_path):
    with_other(runner, tmp_path, eos_token="<|endoftext|>")
    message = refusal(runner, ["math@1"])
    assert "teacher.math@1 [other-tokenizer]" in message
    assert "the eos_token, '<|endoftext|>' and '<|im_end|>'" in message


def test_a_template_of_ours_is_named_where_the_student_reads_one(runner, tmp_path):
    faculty = Faculty(runner)
    faculty.teacher("math", 1)
    assert "training-template" not in {
        note.code for note in propose(runner, ["math@1"], "fork-point@1").notes
    }
    ours = with_template(text_of("qwen3"))
    assert replace_template(ours) == "qwen3"
    saved = save_policy(Policy(tiny_policy().model, ours), tmp_path / "ours")
    made = write_record(runner.store, b"", output=runner.store.put_tree(saved), name="ours")
    faculty.register("fork-point", made, "checkpoint")
    (note,) = [
        note
        for note in propose(runner, ["math@1"], "fork-point@2").notes
        if note.code == "training-template"
    ]
    assert (note.severity, note.subject) == ("note", "fork-point@2")
    assert "qwen3" in note.evidence


def test_another_pad_token_is_accepted(runner, tmp_path):
    with_other(runner, tmp_path, pad_token="<|im_start|>")
    plan = make_plan(runner, ["math@1"], "fork-point@1")
    assert "other-tokenizer" not in {note.code for note in plan.notes}
