"""What every sandbox must withstand. Each test plants a canary and looks whether it was reached.

Another backend joins ``BACKENDS``; it is a sandbox when this file passes. The programs are what a
model under reinforcement learning may write: some on purpose, most by accident.
"""

import json
import os
import resource
import socket
import time
from dataclasses import asdict

import pytest

from tasks.rollout.client import Episode
from tasks.rollout.environment import Message, Prompt, Turn
from tasks.rollout.sandbox import Call, CallResult, MontySandbox, ProgramResult, SandboxLimits
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support import hostile_programs
from tests.support.bundles import processes_of, write_bundle

TOKEN = "canary-7f3a91"
LIMITS = SandboxLimits(seconds=0.3, output_bytes=20_000)
IN_BUNDLE = """
import json
from dataclasses import asdict
from tasks.rollout.sandbox import Call, SandboxLimits, run_program
"""
RUN = """
calls = [Call(name, tuple(arguments)) for name, arguments in prompt.task["calls"]]
limits = SandboxLimits(**prompt.task["limits"])
return json.dumps(asdict(run_program(turns[-1].content, calls, limits)))
"""


class SandboxInWorker:
    """The default sandbox as a release uses it: in a bundle, in the confined process."""

    def __init__(self, folder):
        self._worker = EnvironmentWorker(write_bundle(folder, top=IN_BUNDLE, respond=RUN))
        self._worker.__enter__()

    def run(self, source, calls, limits):
        task = {"calls": [[c.function, list(c.arguments)] for c in calls], "limits": asdict(limits)}
        prompt = Prompt("p", (Message("user", "write f"),), task)
        (reply,) = self._worker.respond([Episode(prompt, (Turn("assistant", source),))])
        found = json.loads(reply)
        outcomes = tuple(CallResult(**outcome) for outcome in found.pop("outcomes"))
        return ProgramResult(outcomes, **found)

    def close(self):
        self._worker.__exit__(None, None, None)


BACKENDS = {
    "monty": lambda folder: MontySandbox(),
    "monty in the confined worker": SandboxInWorker,
}


@pytest.fixture(scope="module", params=BACKENDS)
def sandbox(request, tmp_path_factory):
    os.environ["PROVOST_CANARY"] = TOKEN
    folder = tmp_path_factory.mktemp("sandbox")
    made = BACKENDS[request.param](folder)
    yield made
    made.close()
    del os.environ["PROVOST_CANARY"]
    assert processes_of(folder) == []


@pytest.fixture(autouse=True)
def still_works(sandbox):
    """Whatever the test's program did, the next program runs as if nothing had been."""
    yield
    after = sandbox.run("def f(x): return [x, len('abc')]", [Call("f", (1,))], LIMITS)
    assert after == ProgramResult((CallResult([1, 3]),))


def run(sandbox, source, *arguments):
    """Run a program and call its f with each argument; it must end soon whatever it does."""
    began = time.monotonic()
    result = sandbox.run(source, [Call("f", (argument,)) for argument in arguments], LIMITS)
    assert time.monotonic() - began < 3
    assert len(result.printed) <= LIMITS.output_bytes
    assert len(json.dumps(asdict(result), default=str)) < 10 * LIMITS.output_bytes
    return result


def errors(result):
    return {outcome.error for outcome in result.outcomes}


def attempt(code):
    """Return a program that returns what an expression gives, or "refused" if it raises."""
    return f"""
def f(x):
    try:
        return str({code})
    except Exception:
        return "refused"
"""


def some(programs):
    """Return one program of each attack for every run, and its variants for the slow tests."""
    return [programs[0], *(pytest.param(each, marks=pytest.mark.slow) for each in programs[1:])]


@pytest.mark.parametrize("code", some(hostile_programs.READS))
def test_a_secret_file_is_not_read(sandbox, tmp_path, code):
    secret = tmp_path / f"{TOKEN}.txt"
    secret.write_text(TOKEN)
    result = run(sandbox, attempt(code), str(secret))
    assert result.outcomes == (CallResult("refused"),)
    result = run(sandbox, f"import os, io\nfrom pathlib import Path\n{attempt(code)}", str(secret))
    assert TOKEN not in str(result).replace(str(secret), "")


@pytest.mark.parametrize("source", some(hostile_programs.READERS))
def test_reading_is_an_error_not_an_empty_answer(sandbox, tmp_path, source):
    (tmp_path / "secret").write_text(TOKEN)
    assert errors(run(sandbox, source, str(tmp_path / "secret"))) == {"runtime"}


@pytest.mark.parametrize(
    "code", ["os.environ['PROVOST_CANARY']", "dict(os.environ)", "os.getenv('PROVOST_CANARY')"]
)
def test_environment_variables_are_not_seen(sandbox, code):
    result = run(sandbox, f"import os\ndef f(x): return {code}", 0)
    assert TOKEN not in str(result)
    assert result.outcomes in {(CallResult(error="runtime"),), (CallResult(None),)}


@pytest.mark.parametrize("source", some(hostile_programs.WRITERS))
def test_nothing_is_written_outside(sandbox, tmp_path, source):
    result = run(sandbox, source, str(tmp_path / "canary"))
    assert list(tmp_path.glob("canary*")) == []
    assert errors(result) == {"runtime"}


@pytest.mark.parametrize("code", ["os.remove(x)", "os.rename(x, x + '2')", "open(x, 'w')"])
def test_nothing_outside_is_removed_or_emptied(sandbox, tmp_path, code):
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    assert errors(run(sandbox, f"import os\ndef f(x): {code}", str(kept))) == {"runtime"}
    assert kept.read_text() == "as it was"


@pytest.mark.parametrize("source", some(hostile_programs.CONNECTORS))
def test_no_connection_leaves(sandbox, source):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        result = run(sandbox, source, server.getsockname()[1])
        assert errors(result) <= {"runtime", "syntax"}
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("bomb", some(hostile_programs.BOMBS))
def test_bombs_go_off_inside(sandbox, bomb):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run(sandbox, f"def f(x): return len(str({bomb}))", 0)
    assert errors(result) <= {"memory", "time", "runtime"}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024  # KiB: in the interpreter's process, not in ours


@pytest.mark.parametrize("source", some(hostile_programs.ENDLESS))
def test_endless_work_is_stopped(sandbox, source):
    result = run(sandbox, source, 0)
    assert (result.error, errors(result)) == ("time", {"time"})


def test_sleeping_takes_no_time(sandbox):
    source = "import time, asyncio\ndef f(x):\n    time.sleep(x)\n    return 'awake'"
    assert errors(run(sandbox, source, 10**6)) <= {None, "time", "runtime"}


@pytest.mark.parametrize("source", some(hostile_programs.FLOODS))
def test_a_flood_of_output_is_cut_off(sandbox, capfd, source):
    assert errors(run(sandbox, source, 0)) == {"output"}
    assert len(capfd.readouterr().out) == 0


@pytest.mark.parametrize("source", some(hostile_programs.RECURSIONS))
def test_recursion_ends(sandbox, source):
    assert errors(run(sandbox, source, 0)) <= {"runtime", "memory", "time", "syntax"}


@pytest.mark.parametrize("source", ["(" * 10**5, "-" * 10**5 + "1", "[" * 10**5, "a." * 10**5])
def test_nested_source_does_not_bring_the_parser_down(sandbox, source):
    assert run(sandbox, source, 0).error == "syntax"


@pytest.mark.parametrize("code", some(hostile_programs.UNFOLDING))
def test_a_value_that_unfolds_without_end_is_refused(sandbox, code):
    assert errors(run(sandbox, f"def f(x):\n    {code}\n    return x", 0)) <= {"value", "memory"}


@pytest.mark.parametrize("code", some(hostile_programs.MODULES))
def test_no_module_leads_out(sandbox, tmp_path, code):
    canary = tmp_path / "canary"
    assert run(sandbox, attempt(code), str(canary)).outcomes == (CallResult("refused"),)
    name = code.split("'")[1]
    plain = f"import {name}\n" + attempt(code.replace(f"__import__('{name}')", name))
    result = run(sandbox, plain, str(canary))
    assert result.outcomes == (CallResult("refused"),) or errors(result) == {"runtime"}
    assert not canary.exists()


@pytest.mark.parametrize("call", ["os.fork()", "os.system('true')", "os.posix_spawn('/bin/sh')"])
def test_no_process_is_started(sandbox, call):
    children = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    with open(children) as file:  # noqa: PTH123 (not a regular file)
        before = file.read()
    assert errors(run(sandbox, f"import os\ndef f(x): {call}", 0)) == {"runtime"}
    with open(children) as file:  # noqa: PTH123
        assert file.read() == before


@pytest.mark.parametrize("code", some(hostile_programs.ATTRIBUTES))
def test_no_attribute_leads_out(sandbox, code):
    result = run(sandbox, f"def f(x): return str({code})", 0)
    assert errors(result) == {"runtime"} or result.error in {"runtime", "syntax"}


@pytest.mark.parametrize(
    "look", ["str(globals())", "str(dir())", "str(locals())", "str(vars())", "_provost_arguments"]
)
def test_a_later_test_is_not_seen_by_an_earlier_one(sandbox, look):
    source = f"def f(x):\n    try: return {look}\n    except Exception: return 'refused'"
    first, _ = run(sandbox, source, "now", TOKEN).outcomes
    assert TOKEN not in str(first)
    at_load = run(sandbox, f"seen = {look}\ndef f(x): return seen", TOKEN)
    assert TOKEN not in str(at_load)


@pytest.mark.parametrize("value", some(hostile_programs.FAKES))
def test_a_value_that_claims_to_equal_anything_is_refused(sandbox, value):
    source = f"""
class Fake:
    def __eq__(self, other): return True
    def __hash__(self): return 0
def f(x): return {value}
"""
    result = run(sandbox, source, 0)
    for answer in (42, [42], {"a": 42}, "42"):
        assert result.outcomes[0].value != answer


@pytest.mark.parametrize("first", some(hostile_programs.PATCHES))
def test_one_program_changes_nothing_for_the_next(sandbox, first):
    run(sandbox, first, 0)
    run(sandbox, first + "\n" + "while True: pass", 0)  # nor when it is killed half-way
    used = "[len('abc'), json.dumps([x]), math.sqrt(4), 'a'.upper()]"
    second = f"import json, math\ndef f(x): return {used}"
    assert run(sandbox, second, 1).outcomes == (CallResult([3, "[1]", 2.0, "A"]),)
    assert errors(run(sandbox, "def h(x): return 1", 1)) == {"missing"}


@pytest.mark.parametrize("printed", some(hostile_programs.FORGERIES))
def test_printing_an_answer_forges_none(sandbox, printed, capfd):
    result = run(sandbox, f"def f(x):\n    print('{printed}')\n    return 7", 0)
    assert result.outcomes == (CallResult(7),)
    assert capfd.readouterr().out == ""


def test_many_crashes_in_a_row_leave_the_sandbox_usable(sandbox):
    for _ in range(5):
        assert errors(run(sandbox, "def f(x): return [0] * 10**7", 0)) == {"memory"}
