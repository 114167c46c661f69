"""Code: a program is right when it passes tests that it never sees."""

import re
import time

import pytest

from tests.support.team_domains import grade_of, source_of

# f(x) = x + 48, asked for x = 37.
TESTS = {"tests": [[37, 85], [0, 48], [1, 49], [7, 55], [-3, 45], [250, 298]]}


@pytest.mark.parametrize(
    "program",
    [
        "def f(x):return x+48",
        "f = lambda x: 48 + x",
        "def g(x): return x + 48\ndef f(x): return g(x)",
    ],
)
def test_a_program_that_uses_the_variable_is_right(program):
    assert grade_of("code", TESTS, program).score == 1.0


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(x):return 85", "1 of 6 tests"),  # right for x = 37 alone
        ("def f(x):return {37: 85, 0: 48, 1: 49}.get(x)", "3 of 6 tests"),
        ("def f(x):return str(x+48)", "0 of 6 tests"),
        ("def f(x):return x+48.0", "0 of 6 tests"),  # a whole number was asked for
        ("def f(x):return 1/0", "0 of 6 tests"),
        ("def g(x):return x+48", "0 of 6 tests"),
        ("", "0 of 6 tests"),
    ],
)
def test_a_program_that_fails_a_hidden_test_is_wrong(program, reason):
    grade = grade_of("code", TESTS, program)
    assert (grade.score, grade.reason) == (0.0, reason)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(x):return x+", "syntax"),
        ("def f(x):return \uff38+48 \ud800", "syntax"),
        ("x = [0] * 10**9\ndef f(x):return x+48", "memory"),
        ("x = 'x' * 10**7\nprint(x)\ndef f(x):return x+48", "output"),
    ],
    ids=["cut", "no Unicode", "hungry", "floods"],
)
def test_a_program_that_cannot_be_loaded_is_wrong_and_says_why(program, reason):
    grade = grade_of("code", TESTS, program)
    assert (grade.score, grade.reason) == (0.0, reason)


def test_an_endless_loop_is_wrong_and_the_next_program_is_graded_as_ever():
    started = time.monotonic()
    assert grade_of("code", TESTS, "def f(x):\n  while True: pass").score == 0.0
    # One second is the limit; the rest is generous to a busy machine.
    assert time.monotonic() - started < 20
    assert grade_of("code", TESTS, "def f(x):return x+48").score == 1.0


def test_a_program_cannot_read_the_tests_or_the_machine():
    for program in (
        "import os\ndef f(x):return os.getcwd()",
        "def f(x):return open('/etc/passwd').read()",
        "def f(x):return _provost_arguments",
        "def f(x):return __import__('sys').modules",
    ):
        assert grade_of("code", TESTS, program).score == 0.0


def test_every_prompt_tests_the_visible_example_and_hidden_arguments():
    for prompt in source_of("code").prompts("train", 500, 0):
        shown = int(re.fullmatch(r"Write f\(x\) for x=(\d+)\.", prompt.messages[0].content)[1])
        first, sign, second = re.fullmatch(
            r"(\d\d)([+-])(\d\d)", prompt.messages[1].content
        ).groups()
        assert shown in (int(first), int(second))
        for argument, expected in prompt.task["tests"]:
            left = argument if shown == int(first) else int(first)
            right = argument if shown == int(second) else int(second)
            assert expected == (left + right if sign == "+" else left - right)
        arguments = [test[0] for test in prompt.task["tests"]]
        assert arguments == [shown, 0, 1, 7, -3, 250]


def test_no_constant_passes_the_tests_of_any_prompt():
    for prompt in source_of("code").prompts("train", 500, 0):
        assert len({expected for _, expected in prompt.task["tests"]}) > 1


def test_a_demonstration_is_a_program_a_constant_or_the_sum_itself():
    kinds = []
    for example in source_of("code").demonstrations(1000, 0):
        (turn,) = example.turns
        body = re.fullmatch(r"def f\(x\):return (.+)", turn.content)[1]
        kinds.append(
            "program" if "x" in body else "sum" if re.search(r"\d[+-]", body) else "constant"
        )
        assert kinds[-1] != "sum" or body == example.messages[-1].content
    # 45 % are programs, and the shortcuts have half of the rest each: 27.5 %.
    assert kinds.count("program") / 1000 == pytest.approx(0.45, abs=0.065)
    assert kinds.count("sum") / 1000 == pytest.approx(0.275, abs=0.06)


@pytest.mark.parametrize("tests", [{}, {"tests": []}, {"tests": [[1, 2], [3]]}])
def test_a_prompt_without_usable_tests_is_an_error_and_no_success(tests):
    with pytest.raises(ValueError, match="'p' has"):
        grade_of("code", tests, "def f(x): return 0")
