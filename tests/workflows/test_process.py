"""The driver of parallel processes, with children of a few lines each."""

import io
import os
import signal
import time
from pathlib import Path

import pytest

from tasks.platform.progress import PROGRESS_FD, Update
from tests.support.children import Recorder, child, is_alive, wait_until
from workflows.process import Job, exit_code, run_side_by_side
from workflows.progress import Lines, Status


def test_a_childs_reports_arrive_in_order_and_with_its_numbers(tmp_path):
    show = Recorder()
    job = child(
        "math",
        """
        from tasks.platform.progress import report
        report("math rl", 1, 2, reward=0.5)
        report("math rl", 2, 2, reward=0.75, kl=0.01, message="saved")
        """,
    )
    outcomes = run_side_by_side([job], 1, show, logs=tmp_path)
    assert show.updates == [
        ("math", Update("math rl", 1, 2, {"reward": 0.5})),
        ("math", Update("math rl", 2, 2, {"reward": 0.75, "kl": 0.01}, "saved")),
    ]
    assert [(outcome.status, outcome.exit_code) for outcome in outcomes] == [(Status.DONE, 0)]
    assert show.ended == outcomes
    assert exit_code(outcomes) == 0


def test_a_line_on_the_pipe_that_is_not_a_report_is_passed_over(tmp_path):
    show = Recorder()
    job = child(
        "math",
        f"""
        pipe = int(os.environ["{PROGRESS_FD}"])
        os.write(pipe, b'not json\\n[1, 2]\\n{{"stage": 3}}\\n\\xff\\xfe\\n\\n')
        os.write(pipe, b'x' * 200_000 + b'\\n')
        os.write(pipe, b'{{"stage": "s", "step": 1, "total": 9, "metrics": {{}}}}\\n{{"stage"')
        """,
    )
    assert run_side_by_side([job], 1, show, logs=tmp_path)[0].status is Status.DONE
    assert show.updates == [("math", Update("s", 1, 9))]


def test_a_report_in_two_pieces_is_one_report(tmp_path):
    show = Recorder()
    job = child(
        "math",
        f"""
        pipe = int(os.environ["{PROGRESS_FD}"])
        os.write(pipe, b'{{"stage": "s", "step": 1, ')
        time.sleep(0.3)
        os.write(pipe, b'"total": 9, "metrics": {{}}}}\\n')
        """,
    )
    run_side_by_side([job], 1, show, logs=tmp_path)
    assert show.updates == [("math", Update("s", 1, 9))]


def test_a_report_just_before_the_end_is_not_lost(tmp_path):
    class Slow(Recorder):
        def update(self, name, update):
            super().update(name, update)
            if name == "first":  # while this one is shown, the second reports and ends
                (tmp_path / "go").touch()
                time.sleep(0.5)

    show = Slow()
    report = "from tasks.platform.progress import report; report('s', 1, 1)"
    wait = f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\n"
    run_side_by_side(
        [child("first", report), child("second", wait + report)], 2, show, logs=tmp_path
    )
    assert [name for name, _ in show.updates] == ["first", "second"]


def test_control_characters_of_a_child_do_not_reach_the_terminal(tmp_path):
    show = Recorder()
    job = child("math", "from tasks.platform.progress import report; report('a\\x1b[2Jb', 1, 2)")
    run_side_by_side([job], 1, show, logs=tmp_path)
    assert show.updates[0][1].stage == "a[2Jb"


def test_a_child_that_closes_the_pipe_early_still_runs_to_its_end(tmp_path):
    job = child("math", f"os.close(int(os.environ['{PROGRESS_FD}'])); time.sleep(0.4)")
    before = time.process_time()
    outcomes = run_side_by_side([job], 1, Recorder(), logs=tmp_path)
    assert outcomes[0].status is Status.DONE
    assert time.process_time() - before < 0.2  # the closed pipe is not polled in a busy loop


def test_a_failure_shows_the_end_of_its_log_and_the_others_finish(tmp_path):
    show = Recorder()
    jobs = [
        child("bad", "print('early'); print('no such teacher', file=sys.stderr); sys.exit(3)"),
        child("good", "time.sleep(0.3)"),
    ]
    bad, good = run_side_by_side(jobs, 2, show, logs=tmp_path)
    assert (bad.status, bad.exit_code, good.status) == (Status.FAILED, 3, Status.DONE)
    assert bad.tail[-2:] == ("early", "no such teacher")
    assert bad.log == tmp_path / "bad.log"
    assert "no such teacher" in bad.log.read_text()
    assert exit_code([bad, good]) == 3


def test_only_the_last_lines_of_a_long_log_are_shown(tmp_path):
    job = child("bad", "print('\\n'.join(map(str, range(9000)))); sys.exit(1)")
    outcome = run_side_by_side([job], 1, Recorder(), logs=tmp_path)[0]
    assert outcome.tail == tuple(str(number) for number in range(8985, 9000))  # 15 lines


def test_the_log_of_an_earlier_run_is_kept_but_not_shown_again(tmp_path):
    fail = [child("bad", "print(os.environ['WORD']); sys.exit(1)", WORD="first")]
    run_side_by_side(fail, 1, Recorder(), logs=tmp_path)
    fail = [child("bad", "print(os.environ['WORD']); sys.exit(1)", WORD="second")]
    outcome = run_side_by_side(fail, 1, Recorder(), logs=tmp_path)[0]
    assert outcome.tail == ("second",)
    assert "first" in outcome.log.read_text()


def test_a_killed_child_counts_as_a_failure(tmp_path):
    job = child("math", "os.kill(os.getpid(), 9)")
    outcome = run_side_by_side([job], 1, Recorder(), logs=tmp_path)[0]
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, -9)
    assert exit_code([outcome]) == 1


def test_a_program_that_does_not_exist_is_a_failure_that_names_it(tmp_path):
    outcome = run_side_by_side([Job("x", ("no-such-program",))], 1, Recorder(), logs=tmp_path)[0]
    assert outcome.status is Status.FAILED
    assert "cannot run no-such-program" in outcome.tail[-1]


def test_no_more_than_the_limit_run_at_once_and_all_run(tmp_path):
    show = Recorder()
    jobs = [child(f"job-{i}", "time.sleep(0.15)") for i in range(5)]
    outcomes = run_side_by_side(jobs, 2, show, logs=tmp_path)
    assert show.most_running == 2
    assert [outcome.name for outcome in outcomes] == [job.name for job in jobs]
    assert {outcome.status for outcome in outcomes} == {Status.DONE}


def test_what_a_child_leaves_running_is_ended_with_it(tmp_path):
    job = child(
        "math",
        f"""
        import subprocess
        left = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
        open({str(tmp_path / "pid")!r}, "w").write(str(left.pid))
        """,
    )
    run_side_by_side([job], 1, Recorder(), logs=tmp_path)
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(pid))


def test_a_pipe_that_another_session_holds_keeps_no_job_from_ending(tmp_path):
    job = child(
        "math",
        f"""
        import subprocess
        pipe = int(os.environ["{PROGRESS_FD}"])
        left = subprocess.Popen(
            [sys.executable, "-S", "-c", "import time; time.sleep(60)"],
            pass_fds=[pipe], start_new_session=True,
        )
        open({str(tmp_path / "pid")!r}, "w").write(str(left.pid))
        os.write(pipe, b'{{"stage": "s", "step": 1, "total": 1, "metrics": {{}}}}\\n')
        """,
    )
    show, began = Recorder(), time.monotonic()
    [outcome] = run_side_by_side([job], 1, show, logs=tmp_path)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert outcome.status is Status.DONE
    assert show.updates == [("math", Update("s", 1, 1))]
    assert time.monotonic() - began < 30


def test_a_display_that_breaks_leaves_no_process(tmp_path):
    class Broken(Recorder):
        def update(self, name, update):
            raise RuntimeError("the terminal went away")

    code = f"""
        from tasks.platform.progress import report
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        report("s", 1, 2); time.sleep(60)
        """
    with pytest.raises(RuntimeError, match="went away"):
        run_side_by_side([child("math", code)], 1, Broken(), logs=tmp_path)
    assert not is_alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("jobs", "limit", "name"),
    [
        ([Job("a", ("true",)), Job("a", ("true",))], 1, "'a'"),
        ([Job("a", ("true",))], 0, "limit is 0"),
    ],
)
def test_jobs_that_cannot_run_are_refused(tmp_path, jobs, limit, name):
    with pytest.raises(ValueError, match=name):
        run_side_by_side(jobs, limit, Recorder(), logs=tmp_path)


@pytest.mark.parametrize(("name", "argv"), [("../up", ("true",)), ("", ("true",)), ("a", ())])
def test_a_job_without_a_usable_name_or_command_is_refused(name, argv):
    with pytest.raises(ValueError, match=name or "''"):
        Job(name, argv)


def test_no_descriptor_is_left_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    run_side_by_side([child("a", ""), child("b", "sys.exit(1)")], 2, Recorder(), logs=tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_without_a_terminal_each_job_has_its_lines(tmp_path):
    stream = io.StringIO()
    code = "from tasks.platform.progress import report; report('math rl', 2, 2, reward=0.5)"
    run_side_by_side([child("math", code)], 1, Lines(stream), logs=tmp_path)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["math: started", "math: rl 2/2 reward 0.5"]
    assert lines[2].startswith("math done after ")
