import os
import time

import pytest

from tasks.rollout.sandbox import (
    Call,
    CallResult,
    MontySandbox,
    ProgramResult,
    SandboxLimits,
    run_program,
)

LIMITS = SandboxLimits(seconds=0.3)


def run(source, *calls):
    return run_program(source, calls, LIMITS)


def test_a_program_is_loaded_once_and_called_in_order():
    source = "seen = []\ndef f(x, y=0):\n    seen.append(x)\n    return [x + y, len(seen)]"
    result = run(source, Call("f", (3,)), Call("f", (4, 5)))
    assert result == ProgramResult((CallResult([3, 1]), CallResult([9, 2])))


def test_values_come_back_as_json_would_have_them():
    source = "def f():\n    return {'a': (1, 2.5, None, True), 'b': 'caf\\u00e9'}"
    assert run(source, Call("f")).outcomes == (
        CallResult({"a": [1, 2.5, None, True], "b": "café"}),
    )


def test_arguments_arrive_as_they_are():
    argument = {"rows": [[1, -2], []], "name": "é", "none": None, "yes": True}
    assert run("def f(x): return x", Call("f", (argument,))).outcomes == (CallResult(argument),)


def test_a_program_may_use_any_name_for_its_own():
    assert run("len = 3\nlist = 4\ndef f(x): return x + len", Call("f", (1,))).outcomes == (
        CallResult(4),
    )


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def f(x:", "syntax"),
        ("\0", "syntax"),
        ("x = '\ud800'", "syntax"),
        ("1 / 0", "runtime"),
        ("raise SystemExit(0)", "runtime"),
        ("while True: pass", "time"),
        ("x = 'a' * 10**9", "memory"),
        ("print('a' * 10**6)", "output"),
    ],
)
def test_a_program_that_does_not_load_fails_every_call(source, error):
    result = run(source, Call("f", (1,)), Call("g"))
    assert result.error == error
    assert result.outcomes == (CallResult(error=error), CallResult(error=error))
    assert result.message


def test_a_runtime_error_fails_its_own_call_only():
    result = run("def f(x): return 12 // x", Call("f", (0,)), Call("f", (5,)))
    assert result.outcomes == (CallResult(error="runtime"), CallResult(2))
    assert result.error is None
    assert "ZeroDivisionError" in result.message


def test_a_missing_function_differs_from_a_missing_name_within():
    source = "def f(x): return x if x else nothing()"
    result = run(source, Call("g"), Call("f", (0,)), Call("g"), Call("f", (1,)))
    assert [o.error for o in result.outcomes] == ["missing", "runtime", "missing", None]


@pytest.mark.parametrize(
    "value",
    ["{1, 2}", "float('nan')", "float('inf')", "{1: 2}", "b'a'", "...", "object()", "10**100_000"],
)
def test_a_value_outside_json_is_refused(value):
    result = run(f"def f(): return {value}", Call("f"), Call("f"))
    assert result.outcomes[0].error in {"value", "runtime"}
    assert result.outcomes[0].value is None


def test_after_a_limit_the_other_calls_are_not_tried():
    source = "def f(x):\n    while x: pass\n    return 'done'"
    began = time.monotonic()
    result = run(source, Call("f", (0,)), Call("f", (1,)), Call("f", (1,)), Call("f", (0,)))
    assert [o.error for o in result.outcomes] == [None, "time", "time", "time"]
    assert time.monotonic() - began < 1.5  # once, not three times


def test_after_memory_ran_out_the_session_is_not_called_again():
    source = "def f(x): return 'a' * x"
    result = run(source, Call("f", (10**9,)), Call("f", (1,)))
    assert result.outcomes == (CallResult(error="memory"), CallResult(error="memory"))


def test_a_program_cannot_claim_to_be_missing():
    source = "def f(x):\n    raise NameError(\"name 'f' is not defined\")"
    assert run(source, Call("f", (1,))).outcomes == (CallResult(error="runtime"),)


def test_calls_that_are_each_in_time_do_not_add_up_without_end():
    source = "def f():\n    n = 0\n    for i in range(10**6): n += i"
    calls = [Call("f")] * 200
    began = time.monotonic()
    outcomes = run(source, *calls).outcomes
    assert time.monotonic() - began < 1.5  # 0.3 s for all, and at most 0.3 s more for the last
    assert outcomes[-1].error == "time"


def test_what_is_printed_is_kept():
    assert run("print('a')\ndef f(): print('b')", Call("f")).printed == "a\nb\n"


def test_the_same_program_gives_the_same_result():
    source = """
import random, time, datetime
def f():
    time.sleep(1000)
    return [random.random(), str(datetime.datetime.now())]
"""
    first = run(source, Call("f"))
    assert first.outcomes[0].error is None
    assert run(source, Call("f")) == first


@pytest.mark.parametrize("name", ["f()", "a.b", "", "lambda", "f\n"])
def test_a_call_takes_a_bare_name(name):
    with pytest.raises(ValueError, match="function name"):
        Call(name)


@pytest.mark.parametrize("limit", ["seconds", "memory_bytes", "recursion_depth", "output_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_no_limit_can_be_switched_off(limit, value):
    with pytest.raises(ValueError, match=limit):
        SandboxLimits(**{limit: value})


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12
def test_a_child_forked_after_use_is_refused_instead_of_hanging():
    assert run("def f(): return 1", Call("f")).outcomes == (CallResult(1),)
    child = os.fork()
    if child == 0:
        try:
            run("def f(): return 2", Call("f"))
        except RuntimeError as error:
            os._exit(7 if "spawn" in str(error) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_program_costs_less_than_a_process_would():
    sandbox = MontySandbox()
    times = []
    for _ in range(50):
        began = time.perf_counter()
        sandbox.run("def f(x): return x + 1", [Call("f", (1,))], LIMITS)
        times.append(time.perf_counter() - began)
    sandbox.close()
    assert sorted(times)[25] < 0.002
