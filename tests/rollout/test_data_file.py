"""A data file becomes disjoint splits, and each bad line is named by its number."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from tasks.contracts.refusal import RefusedError
from tasks.rollout.data_file import (
    DataColumns,
    normalized,
    read_data,
    split_rows,
    write_data,
)
from tasks.rollout.environment import SPLITS, split_of
from tasks.rollout.prompts import read_demonstrations, read_prompts


def lines(folder, rows, name="data.jsonl"):
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def sums(count, start=0):
    return [
        {"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(start, start + count)
    ]


def refused(action, *arguments):
    with pytest.raises(RefusedError) as caught:
        action(*arguments)
    return caught.value.code, str(caught.value)


def test_each_question_is_in_one_split_and_as_often_as_the_hash_says(tmp_path):
    split = split_rows(read_data(lines(tmp_path, sums(1000)), DataColumns()))
    assert sum(len(rows) for rows in split.rows.values()) == 1000
    # shares of 80 %, 10 %, 10 % of 1,000: three standard deviations are 38 and 28
    assert abs(len(split.rows["train"]) - 800) < 40
    assert abs(len(split.rows["evaluation"]) - 100) < 30
    for name, rows in split.rows.items():
        assert {split_of(row.key) for row in rows} == {name}


def test_the_same_question_in_other_spacing_and_case_is_one(tmp_path):
    rows = [*sums(200), {"question": "  what IS 7 +\n1 ", "answer": 8}]
    split = split_rows(read_data(lines(tmp_path, rows), DataColumns()))
    assert split.num_repeated == 1
    assert sum(len(rows) for rows in split.rows.values()) == 200
    assert normalized("What is 7 + 1?") == normalized("what is\u00a07 + 1 ?!")
    assert normalized("What is 7 + 1?") != normalized("What is 71?")


def test_what_is_written_can_be_read_as_the_prompts_of_a_domain(tmp_path):
    rows = sums(300)
    rows[0]["answer"] = "We add 0 and 1.\n#### 1"
    split = split_rows(read_data(lines(tmp_path, rows), DataColumns()))
    write_data(tmp_path / "prompts", split, system="Sum.")
    read = {name: read_prompts(tmp_path / "prompts" / f"{name}.jsonl") for name in SPLITS}
    assert {name: len(prompts) for name, prompts in read.items()} == {
        name: len(rows) for name, rows in split.rows.items()
    }
    asked = {
        prompt.messages[1].content: prompt.task["answer"] for p in read.values() for prompt in p
    }
    assert asked == {row["question"]: row["answer"].rpartition("#### ")[2] for row in rows}
    shown = read_demonstrations(tmp_path / "prompts" / "demonstrations.jsonl")
    assert len(shown) == len(read["train"])
    said = {example.messages[1].content: example.turns[0].content for example in shown}
    if split_of(normalized("What is 0 + 1?")) == "train":
        assert said["What is 0 + 1?"] == "We add 0 and 1.\n#### 1"


def test_parquet_and_jsonl_give_the_same_rows(tmp_path):
    rows = sums(20)
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data.parquet")
    one = read_data(lines(tmp_path, rows), DataColumns())
    two = read_data(tmp_path / "data.parquet", DataColumns())
    assert [(r.messages, r.answer) for r in one] == [(r.messages, r.answer) for r in two]
    assert two[3].place == "data.parquet, line 4"


def test_columns_can_be_named_and_a_prompt_may_be_chat_messages(tmp_path):
    chat = [{"role": "system", "content": "Sum."}, {"role": "user", "content": "1 + 1"}]
    (row,) = read_data(lines(tmp_path, [{"chat": chat, "gold": 2.0}]), DataColumns("chat", "gold"))
    assert [message.role for message in row.messages] == ["system", "user"]
    assert row.answer == "2"


@pytest.mark.parametrize(
    ("columns", "option"),
    [
        (DataColumns(prompt="text"), "--prompt-column"),
        (DataColumns(answer="gold"), "--answer-column"),
    ],
)
def test_a_missing_column_is_named_with_those_that_there_are(tmp_path, columns, option):
    code, said = refused(read_data, lines(tmp_path, sums(3)), columns)
    assert code == "missing-column"
    assert option in said
    assert "question, answer" in said
    code, _ = refused(read_data, lines(tmp_path, [{"a": 1, "b": 2}]), DataColumns())
    assert code == "missing-column"


def test_bad_lines_are_listed_by_number(tmp_path):
    rows = [*sums(2), "{not json", "[1]", {"question": 3, "answer": "4"}, {"answer": "5"}]
    code, said = refused(read_data, lines(tmp_path, rows), DataColumns())
    assert code == "bad-data-lines"
    assert "4 lines" in said
    assert all(f"line {number}:" in said for number in (3, 4, 5, 6))


@pytest.mark.parametrize("answer", ["", "  ", None, [], True, "all of it ####  "])
def test_an_empty_answer_is_refused_with_its_line(tmp_path, answer):
    rows = [*sums(2), {"question": "And?", "answer": answer}]
    code, said = refused(read_data, lines(tmp_path, rows), DataColumns())
    assert code == "empty-answer"
    assert "line 3" in said


def test_a_question_with_two_answers_is_refused_with_both_lines(tmp_path):
    rows = [*sums(100), {"question": "what is 4 + 1", "answer": "6"}]
    code, said = refused(split_rows, read_data(lines(tmp_path, rows), DataColumns()))
    assert code == "contradicting-answers"
    assert "line 5" in said
    assert "line 101" in said


def test_a_leak_between_two_files_is_refused_with_both_lines(tmp_path):
    train = read_data(lines(tmp_path, sums(200)), DataColumns())
    own = read_data(lines(tmp_path, sums(50, 1000), "own.jsonl"), DataColumns())
    split = split_rows(train, own)
    assert [row.place for row in split.rows["evaluation"]] == [row.place for row in own]
    assert sum(len(rows) for rows in split.rows.values()) == 250
    leaky = [{"question": "WHAT is 3 + 1", "answer": "4"}]
    code, said = refused(
        split_rows, train, read_data(lines(tmp_path, leaky, "l.jsonl"), DataColumns())
    )
    assert code == "leak-between-splits"
    assert "data.jsonl, line 4 = l.jsonl, line 1" in said


def test_too_few_rows_for_three_splits_are_refused(tmp_path):
    code, _ = refused(split_rows, read_data(lines(tmp_path, sums(2)), DataColumns()))
    assert code == "too-few-rows"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("data.csv", "question,answer\n1,2", "unknown-data-format"),
        ("data.parquet", "question,answer\n1,2", "unknown-data-format"),
        ("data.jsonl", "\n\n", "bad-data-lines"),
    ],
)
def test_other_formats_and_empty_files_are_refused(tmp_path, name, text, code):
    (tmp_path / name).write_text(text)
    assert refused(read_data, tmp_path / name, DataColumns())[0] == code
    assert refused(read_data, tmp_path / "gone.jsonl", DataColumns())[0] == "no-data-file"
