"""Answers that are none: each is refused, and named."""

import pytest

from tasks.rollout.worker.limits import WorkerLimits
from tests.support.bundles import HEAD, episodes, failure


@pytest.mark.parametrize(
    ("grade", "problem"),
    [
        ("return Grade(7.0)", "grade 7.0 is not between 0 and 1"),
        ("return Grade(float('nan'))", "nan is not between 0 and 1"),
        ("return None", "returned a NoneType: it must return a Grade"),
        ("return 1.0", "returned a float"),
        ("return Grade('1')", "raised TypeError"),
        ("return Grade(True)", "gave the score True"),
        ("return Grade(0.5, None)", "no usable reason"),
        ("return Grade(0.5, 'a' * 10**6)", "no usable reason"),
    ],
)
def test_nonsense_for_a_grade_is_refused(worker, grade, problem):
    error = failure(worker(grade=grade).grade, episodes("a"))
    assert problem in str(error)
    assert error.prompt_id == "p0"


@pytest.mark.parametrize(
    ("respond", "problem"),
    [
        ("return 4", "returned a int: it must return text"),
        ("return b'4'", "returned a bytes"),
        ("return 'a' * 100_000", "returned 100000 bytes"),
        ("return '\\ud800'", "not Unicode"),
    ],
)
def test_nonsense_for_a_reply_is_refused(worker, respond, problem):
    assert problem in str(failure(worker(respond=respond).respond, episodes("a")))


@pytest.mark.parametrize(
    ("prompts", "problem"),
    [
        ("def prompts(s, c, d): return []", "gave 0 rows instead of 3"),
        (
            "import itertools\ndef prompts(s, c, d): return itertools.repeat(P)",
            "gave more rows",
        ),
        ("def prompts(s, c, d): return [P] * 3", "'x' occurs twice"),
        ("def prompts(s, c, d): return [Prompt('', P.messages)] * 3", "field 'id' is ''"),
        ("def prompts(s, c, d): return [Prompt('a', ())] * 3", "at least one entry"),
        ("def prompts(s, c, d): return [Prompt('a', P.messages, {'a': {1}})] * 3", "TypeError"),
        ("def prompts(s, c, d): return [7, 8, 9]", "raised AttributeError"),
        ("def prompts(s, c, d): return None", "raised TypeError"),
    ],
)
def test_nonsense_for_prompts_is_refused(worker, prompts, problem):
    head = f"{HEAD}\nP = Prompt('x', (Message('user', 'a'),))\n"
    asked = worker(prompts=head + prompts)
    assert problem in str(failure(asked.prompts, "train", 3, 0))


def test_too_few_demonstrations_are_refused(worker):
    asked = worker(prompts="def demonstrations(c, s): return []\ndef prompts(*a): return []")
    assert "gave 0 rows instead of 2" in str(failure(asked.demonstrations, 2, 0))


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (b"{}\\n{}\\n", "answered more than once"),
        (b"nonsense\\n", "answered not JSON"),
        (b"[]\\n", "did not answer with a JSON object"),
        (b'{"answers": [[1, ""], [1, ""]]}\\n', "one answer for each of 1 episodes"),
        (b'{"answers": [[7, ""]]}\\n', "gave the score 7"),
        (b'{"answers": [[NaN, ""]]}\\n', "answered NaN"),
        (b'{"answers": [[' + b"1" * 5000 + b', ""]]}\\n', "answered a number that cannot be read"),
        (b'{"answers": [[1, "\\\\ud800"]]}\\n', "answered text that is not Unicode"),
        (b'{"problem": "' + b"x" * 10**5 + b'"}\\n', "(100000 characters)"),
        (b"\\xff\\n", "answered 'utf-8' codec"),
    ],
)
def test_what_a_bundle_writes_to_the_pipe_itself_is_checked(worker, written, problem):
    asked = worker(
        top="import os, time",
        grade=f"""
        for handle in range(3, 12):
            try:
                os.write(handle, {written!r})
            except OSError:
                pass
        time.sleep(5)
        """.replace("\\\\", "\\"),
    )
    assert problem in str(failure(asked.grade, episodes("a")))


def test_an_answer_without_end_is_cut_off(worker):
    limits = WorkerLimits(message_bytes=100_000, call_seconds=5)
    asked = worker(
        limits,
        prompts="def prompts(s, c, d): return [Prompt(str(i), (Message('user', 'a' * 10**6),)) "
        "for i in range(c)]\nfrom tasks.rollout.environment import Message, Prompt",
    )
    assert "more than 100000 bytes" in str(failure(asked.prompts, "train", 3, 0))
