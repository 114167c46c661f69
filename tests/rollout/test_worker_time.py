"""Time limits: a batch has the time of its episodes, and an episode that hangs has only its own."""

import time
from pathlib import Path

import pytest

import workflows.teachers.code as code_team
from tasks.rollout.client import Episode
from tasks.rollout.environment import Grade, Message, Prompt, Turn
from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import WorkerLimits
from tasks.rollout.worker.process import _EpisodeClock
from tests.support.bundles import episodes, failure

ENDLESS = "while True: pass"
ADD_ONE = "def f(x):\n    return x + 1"
RUN = """
    result = run_program(turns[-1].content, [Call("f", (1,))], SandboxLimits(seconds=0.05))
    return Grade(float(result.outcomes[0].value == 2), result.error or "")
    """


@pytest.mark.medium
def test_a_batch_of_endless_programs_scores_0_and_the_program_after_them_1(worker):
    # Together they take 3.5 s or more, and the limit for each is 1 s.
    top = "from tasks.rollout.sandbox import Call, SandboxLimits, run_program"
    asked = worker(WorkerLimits(call_seconds=1.0), top=top, grade=RUN)
    grades = asked.grade(episodes(*[ENDLESS] * 70, ADD_ONE))
    assert grades == [Grade(0.0, "time")] * 70 + [Grade(1.0)]


@pytest.mark.slow
def test_the_code_domain_grades_70_endless_programs_with_the_limits_of_a_run():
    bundle = Path(code_team.__file__).parent
    prompt = Prompt("p", (Message("user", "x + 1"),), {"tests": [[1, 2], [5, 6]]})
    said = [Episode(prompt, (Turn("assistant", text),)) for text in [*[ENDLESS] * 70, ADD_ONE]]
    with EnvironmentWorker(bundle) as asked:
        assert asked.grade(said) == [Grade(0.0, "time")] * 70 + [Grade(1.0)]


@pytest.mark.medium
def test_an_episode_that_hangs_is_named_after_others_that_took_their_time(worker):
    asked = worker(
        top="import time",
        grade="""
        while turns[-1].content == "hang":
            pass
        time.sleep(0.4)
        return Grade(1.0)
        """,
    )
    began = time.monotonic()
    error = failure(asked.grade, episodes("a", "b", "c", "d", "hang", "e"))
    assert 2.6 < time.monotonic() - began < 4
    assert error.prompt_id == "p4"
    assert 'environment.py", line' in error.details  # the alarm was set again on the way


def test_a_call_that_hangs_names_no_episode_of_the_call_before(worker):
    asked = worker(
        prompts="def prompts(s, c, d):\n    while True: pass\ndef demonstrations(c, s): return []"
    )
    asked.grade(episodes("a", "b"))
    assert failure(asked.prompts, "train", 1, 0).prompt_id == ""


def test_a_bundle_cannot_stretch_a_call_beyond_the_time_of_its_episodes(worker):
    # It tells of progress for ever: three episodes still have three times a second.
    asked = worker(
        WorkerLimits(call_seconds=0.5),
        top="import mmap, os, itertools",
        grade="""
        for handle in range(3, 12):
            try:
                page = mmap.mmap(handle, mmap.PAGESIZE)
            except (OSError, ValueError):
                continue
            for number in itertools.count():
                page[:8] = (number % 1000).to_bytes(8, "little")
        """,
    )
    began = time.monotonic()
    assert "did not answer" in str(failure(asked.grade, episodes("a", "b", "c")))
    assert time.monotonic() - began < 3


def test_only_a_higher_position_of_the_call_starts_the_time_again(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = _EpisodeClock(10, num_episodes=3)
    said = []
    for moment, position in [(109, 0), (118, 1), (127, 1), (127.5, 0), (127.9, 3), (128, 7)]:
        now[0] = moment
        said.append(clock.is_over(position))
    assert said == [False, False, False, False, False, True]
