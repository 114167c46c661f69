import json
import os

import pytest

from tasks.rollout.environment import Demonstration, Message, Prompt, Turn
from tasks.rollout.json_lines import PromptError, parse_json
from tasks.rollout.prompts import (
    read_demonstrations,
    read_prompts,
    refuse_overlap,
    write_demonstrations,
    write_prompts,
)

SYSTEM, QUESTION = Message("system", "Compute."), Message("user", "1+1=")
GOOD = '{"id": "a", "messages": [{"role": "user", "content": "1+1="}]}'
USER = '[{"role": "user", "content": "hi"}]'


@pytest.fixture
def file(tmp_path):
    """Return a function that writes bytes or lines to a file and returns its path."""

    def write(*lines):
        path = tmp_path / "prompts.jsonl"
        path.write_bytes(b"\n".join(x if isinstance(x, bytes) else x.encode() for x in lines))
        return path

    return write


def prompt(identifier, *messages, **task):
    return Prompt(identifier, messages or (QUESTION,), task)


def test_prompts_come_back_as_they_were_written(tmp_path):
    prompts = [
        prompt("a", SYSTEM, QUESTION, answer=2, tests=[[1, "é\n"], None, {"deep": [True, 0.5]}]),
        prompt("b", Message("user", "x"), Message("assistant", "y"), Message("user", "z")),
    ]
    path = tmp_path / "folder" / "prompts.jsonl"
    write_prompts(path, prompts)
    assert read_prompts(path) == prompts
    assert len(path.read_text().splitlines()) == 2


def test_the_same_prompts_give_the_same_bytes(tmp_path):
    for name, task in (("one", {"a": 1, "b": 2}), ("two", {"b": 2, "a": 1})):
        write_prompts(tmp_path / name, [Prompt("a", (QUESTION,), task)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_demonstrations_come_back_as_they_were_written(tmp_path):
    turns = (Turn("assistant", "call"), Turn("tool", "2"), Turn("assistant", "2"))
    written = [Demonstration((SYSTEM, QUESTION), turns)]
    write_demonstrations(tmp_path / "d.jsonl", written)
    assert read_demonstrations(tmp_path / "d.jsonl") == written


def test_a_task_is_optional_and_empty_lines_and_a_byte_order_mark_are_passed_over(file):
    path = file(b"\xef\xbb\xbf" + GOOD.encode(), "", "  ", GOOD.replace('"a"', '"b"'), "")
    assert [p.id for p in read_prompts(path)] == ["a", "b"]
    assert read_prompts(path)[0].task == {}


@pytest.mark.parametrize("lines", [(), ("",), ("", "  ", "")])
def test_an_empty_file_is_refused(file, lines):
    with pytest.raises(PromptError, match=r"prompts\.jsonl"):
        read_prompts(file(*lines))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "b", ', "column 13"),
        ("id: b", "column 1"),
        (b'{"id": "\xff"}', "UTF-8"),
        ("[" * 100_000, "nested"),
        ("[]", "a list: "),
        ('"b"', "a str: "),
        (f'{{"messages": {USER}}}', "'id'"),
        ('{"id": "b"}', "'messages'"),
        (f'{{"id": 7, "messages": {USER}}}', "'id' is 7"),
        (f'{{"id": "", "messages": {USER}}}', "'id' is ''"),
        (f'{{"id": "b", "messages": {USER}, "taks": {{}}}}', "'taks'"),
        (f'{{"id": "b", "messages": {USER}, "task": [1]}}', "'task' is a list"),
        (f'{{"id": "b", "messages": {USER}, "task": {{"x": NaN}}}}', "NaN"),
        (
            f'{{"id": "b", "messages": {USER}, "task": {{"x": -Infinity}}}}',
            "Infinity",
        ),
        ('{"id": "b", "messages": []}', "'messages'"),
        ('{"id": "b", "messages": "hi"}', "'messages'"),
        ('{"id": "b", "messages": ["hi"]}', r"messages\[0\]"),
        ('{"id": "b", "messages": [{"role": "user"}]}', r"messages\[0\]"),
        ('{"id": "b", "messages": [{"role": "user", "content": 4}]}', "int"),
        ('{"id": "b", "messages": [{"role": "human", "content": "x"}]}', "'human'"),
        ('{"id": "b", "messages": [{"role": ["user"], "content": "x"}]}', "system, user"),
        (
            '{"id": "b", "messages": [{"role": "assistant", "content": "x"}]}',
            "'assistant' 'x'",
        ),
        ('{"id": "b", "messages": [{"role": "user", "content": " "}]}', "user message"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_line(file, line, problem):
    with pytest.raises(PromptError, match=rf"prompts\.jsonl, line 3: .*{problem}"):
        read_prompts(file(GOOD, "", line))


def test_a_repeated_id_is_refused_with_both_lines(file):
    with pytest.raises(PromptError, match=r"line 3: .*'a'.* line 1"):
        read_prompts(file(GOOD, "", GOOD))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jsonl"):
        read_prompts(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize(
    ("turns", "problem"),
    [
        ('[{"role": "tool", "content": "x"}]', "'tool' to 'tool'"),
        (
            '[{"role": "assistant", "content": "x"}, {"role": "tool", "content": "y"}]',
            "'assistant' to 'tool'",
        ),
        (
            '[{"role": "tool", "content": "x"}, {"role": "assistant", "content": "y"}]',
            "'tool' to 'assistant'",
        ),
        ('[{"role": "user", "content": "x"}]', "'user'.*assistant, tool"),
        ("[]", "'turns'"),
    ],
)
def test_a_demonstration_must_end_with_the_models_words(file, turns, problem):
    with pytest.raises(PromptError, match=rf"line 1: .*{problem}"):
        read_demonstrations(file(f'{{"messages": {USER}, "turns": {turns}}}'))


@pytest.mark.parametrize(
    ("prompts", "problem"),
    [
        ([], "list of rows"),
        ([prompt("a"), prompt("a")], "'a'"),
        ([prompt("")], "'id' is ''"),
        ([prompt("a", SYSTEM)], "'system'"),
        ([prompt("a", answer={1, 2})], "'a' .*JSON"),
        ([prompt("a", answer=float("nan"))], "'a' .*JSON"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, prompts, problem):
    path = tmp_path / "prompts.jsonl"
    path.write_text("as it was")
    with pytest.raises(PromptError, match=problem):
        write_prompts(path, prompts)
    assert path.read_text() == "as it was"
    assert os.listdir(tmp_path) == ["prompts.jsonl"]  # noqa: PTH208


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "prompts.jsonl"
    path.write_text("as it was")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_prompts(path, [prompt("a")])
    assert path.read_text() == "as it was"
    assert os.listdir(tmp_path) == ["prompts.jsonl"]  # noqa: PTH208


def test_an_evaluation_prompt_that_was_trained_on_is_refused_whatever_its_id():
    training = [prompt("t1", SYSTEM, QUESTION), prompt("t2", Message("user", "other"))]
    spaced = prompt("e7", SYSTEM, Message("user", " 1+1=\n"))
    with pytest.raises(PromptError, match=r"1 of 2 .*'t1' = 'e7'"):
        refuse_overlap(training, [prompt("e1", Message("user", "new")), spaced])


def test_the_same_question_under_another_system_prompt_is_another_prompt():
    other = Message("system", "Use the calculator.")
    refuse_overlap([prompt("a", SYSTEM, QUESTION)], [prompt("a", other, QUESTION)])
    refuse_overlap([prompt("a", SYSTEM, QUESTION)], [prompt("a", QUESTION)])
    refuse_overlap([], [prompt("a")])


def test_only_the_first_shared_prompts_are_listed():
    many = [prompt(str(n), Message("user", str(n))) for n in range(5)]
    with pytest.raises(PromptError, match=r"5 of 5 .*'2' = '2', \.\.\.\)"):
        refuse_overlap(many, many)


@pytest.mark.parametrize(
    "text", ['{"a": ' + "1" * 5000 + "}", '"\\ud800"', '{"\\udc00": 1}', '"\\uD83Dx"']
)
def test_numbers_and_texts_that_python_cannot_hold_are_prompt_errors(text):
    with pytest.raises(PromptError):
        parse_json(text)


def test_two_halves_of_a_character_are_one():
    assert parse_json('"\\ud83d\\ude00"') == "\U0001f600"


def test_a_prompt_with_half_a_character_is_refused_when_written(tmp_path):
    prompt = Prompt("a", (Message("user", "x"),), {"answer": "\ud800"})
    with pytest.raises(PromptError):
        write_prompts(tmp_path / "p.jsonl", [prompt])
    assert not (tmp_path / "p.jsonl").exists()


def test_the_error_of_a_long_line_is_short(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps({"id": "a", "messages": [{"role": "r" * 10**7, "content": ""}]}))
    with pytest.raises(PromptError) as caught:
        read_prompts(file)
    assert len(str(caught.value)) < 2000
