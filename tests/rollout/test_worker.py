import time

import pytest

from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.environment import Grade
from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import WorkerLimits
from tests.support.bundles import episodes, failure, write_bundle


def test_grades_come_back_in_order_with_their_reasons(worker):
    asked = worker(
        grade="""
        right = turns[-1].content == prompt.task["answer"]
        return Grade(1.0) if right else Grade(0.25, "wrong: " + turns[-1].content)
        """
    )
    assert asked.grade(episodes("3", "2")) == [Grade(0.25, "wrong: 3"), Grade(1.0)]


def test_replies_are_texts_or_the_end(worker):
    asked = worker(respond="return None if turns[-1].content == 'bye' else 'caf\\u00e9 ' * 2")
    assert asked.respond(episodes("hello", "bye")) == ["café café ", None]
    assert asked.max_turns == 2


def test_a_bundle_sees_all_turns_with_their_roles(worker):
    asked = worker(respond="return ' '.join(f'{t.role}:{t.content}' for t in turns)")
    (episode,) = episodes("a")
    longer = type(episode)(episode.prompt, (*episode.turns, type(episode.turns[0])("tool", "b")))
    assert asked.respond([longer]) == ["assistant:a tool:b"]


def test_prompts_and_demonstrations_are_those_of_the_bundle(worker):
    asked = worker()
    prompts = asked.prompts("validation", 3, 7)
    assert [p.id for p in prompts] == ["validation-7-0", "validation-7-1", "validation-7-2"]
    assert prompts[2].task == {"answer": 2}
    assert [d.turns[0].content for d in asked.demonstrations(2, 0)] == ["0", "1"]


def test_a_bundle_may_define_data_classes(worker):
    rule = """
    from dataclasses import dataclass

    @dataclass
    class Rule:
        name: "str"  # a text, as under `from __future__ import annotations`
    """
    assert worker(top=rule, respond="return Rule('a').name").respond(episodes("b")) == ["a"]


def test_no_episodes_need_no_answer(worker):
    asked = worker(grade="raise RuntimeError")
    assert asked.grade([]) == []


def test_a_bundle_that_raises_is_named_with_call_prompt_and_traceback(worker):
    asked = worker(grade="if turns[-1].content == 'b': prompt.task['nothing']\nreturn Grade(1.0)")
    error = failure(asked.grade, episodes("a", "b", "c"))
    assert (error.domain, error.call, error.prompt_id) == ("sums", "grade", "p1")
    assert "raised KeyError" in str(error)
    assert "prompt.task['nothing']" in str(error)  # the line of the team's own file
    assert asked.grade(episodes("a")) == [Grade(1.0)]  # the process lives on


def test_a_bundle_that_leaves_python_has_raised(worker):
    assert "raised SystemExit" in str(
        failure(worker(grade="raise SystemExit").grade, episodes("a"))
    )


def test_a_bundle_that_hangs_is_stopped_where_it_hung_and_the_next_call_starts_afresh(worker):
    asked = worker(
        grade="""
        while turns[-1].content == "hang":
            pass
        return Grade(1.0)
        """
    )
    began = time.monotonic()
    error = failure(asked.grade, episodes("a", "b", "hang"))
    assert time.monotonic() - began < 3
    assert "did not answer within 1 s" in str(error)
    assert error.prompt_id == "p2"
    assert 'environment.py", line' in error.details  # where it was, from the watchdog
    assert asked.grade(episodes("a")) == [Grade(1.0)]


def test_a_regular_expression_that_never_ends_is_stopped_too(worker):
    # The search holds the interpreter's lock, so nothing inside the process could stop it.
    asked = worker(top="import re", grade="re.match('(a+)+$', 'a' * 50 + 'b')\nreturn Grade(1.0)")
    assert failure(asked.grade, episodes("a")).prompt_id == "p0"


@pytest.mark.parametrize(
    ("grade", "how"),
    [
        ("os._exit(3)", "exit status 3"),
        ("os._exit(0)", "ended by itself (exit status 0)"),
        ("ctypes.string_at(0)", "SIGSEGV"),
    ],
)
def test_a_bundle_that_dies_differs_from_one_that_answers(worker, grade, how):
    asked = worker(top="import ctypes, os", grade=grade)
    assert how in str(failure(asked.grade, episodes("a")))
    assert failure(asked.grade, episodes("a")).prompt_id == "p0"


def test_memory_is_limited(worker):
    limits = WorkerLimits(memory_bytes=256 * 1024**2)
    asked = worker(limits, grade="'a' * 10**9\nreturn Grade(1.0)")
    assert "raised MemoryError" in str(failure(asked.grade, episodes("a")))


def test_a_flood_of_prints_is_captured_and_capped(worker, capfd):
    asked = worker(
        grade="""
        for _ in range(20_000):
            print("x" * 1000)
        raise ValueError("after 20 MB")
        """,
        limits=WorkerLimits(output_bytes=4096),
    )
    assert "after 20 MB" in str(failure(asked.grade, episodes("a")))
    assert len(asked._process.output) <= 4096
    assert capfd.readouterr() == ("", "")


def test_last_words_before_a_death_are_kept(worker):
    asked = worker(top="import os", grade="print('here I stood', flush=True)\nos._exit(1)")
    assert "here I stood" in str(failure(asked.grade, episodes("a")))


@pytest.mark.parametrize(
    ("bodies", "problem"),
    [
        ({"top": "import numpy"}, "No module named 'numpy'"),  # installed, and out of reach
        ({"top": "import tasks.rollout.worker.client"}, "a bundle may import the standard library"),
        ({"top": "import lineage"}, "No module named 'lineage'"),
        ({"top": "def"}, "SyntaxError"),
        ({"top": "while True: pass"}, "did not answer within 1 s"),
        ({"top": "Team.max_turns = 0"}, "NameError"),
        ({"prompts": "1 / 0"}, "ZeroDivisionError"),
    ],
)
def test_a_bundle_that_does_not_load_is_refused_at_the_start(worker, bodies, problem):
    limits = WorkerLimits(start_seconds=1.0 if "while" in bodies.get("top", "") else 20.0)
    error = failure(lambda: worker(limits, **bodies))
    assert error.call == "load"
    assert problem in str(error)


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(EnvironmentFailure, match=r"environment\.py"):
        EnvironmentWorker(tmp_path).__enter__()


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"call_seconds is 0"):
        WorkerLimits(call_seconds=0)


def test_hashes_and_zone_are_the_same_in_every_process(worker):
    asked = worker(top="import time", respond="return f'{hash(\"a\")} {time.tzname}'")
    first = asked.respond(episodes("a"))
    asked.restart()
    assert asked.respond(episodes("a")) == first
    assert "UTC" in first[0]


def test_a_batch_of_128_costs_ten_milliseconds_and_a_start_half_a_second(tmp_path):
    folder = write_bundle(tmp_path)
    starts, batches = [], []
    for _ in range(2):
        began = time.perf_counter()
        with EnvironmentWorker(folder) as asked:
            starts.append(time.perf_counter() - began)
            items = episodes(*map(str, range(128)))
            for _ in range(10):
                began = time.perf_counter()
                asked.grade(items)
                batches.append(time.perf_counter() - began)
    assert min(starts) < 0.5
    assert min(batches) < 0.010
