"""Limits on what all processes and all files of a bundle use together."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.environment import Grade
from tasks.rollout.worker import scratch
from tasks.rollout.worker.client import EnvironmentWorker
from tasks.rollout.worker.limits import WorkerLimits
from tests.support.bundles import episodes, failure, write_bundle

MIB = 1024**2
LIMITS = WorkerLimits(
    call_seconds=60.0,
    memory_bytes=256 * MIB,
    scratch_bytes=2 * MIB,
    file_bytes=MIB,
    processes=20,
)
TOP = """
import mmap, os, time

def fill(name, size=700 * 1024):
    file = open(name, "w+b")
    file.write(b"x" * size)
    file.flush()
    return file

def fork(action):
    if os.fork() == 0:
        action()
        time.sleep(600)

def grow():
    global kept
    kept = b"x" * (90 * 1024**2)

def share():
    global page
    page = mmap.mmap(-1, 90 * 1024**2)
    for _ in range(90):
        page.write(b"x" * 1024**2)

def forget(number, mapped):
    name = f"f{number}"
    file = fill(name)
    os.unlink(name)
    if not mapped:
        return file
    page = mmap.mmap(file.fileno(), 0)
    file.close()
    return page

def hidden():
    os.mkdir("hidden", 0o300)
    for number in range(6):
        fill(f"hidden/{number}").close()
"""
EXCESSES = {
    "many files": ("[fill(str(n)).close() for n in range(6)]", "scratch_bytes"),
    "files without names": ("kept = [forget(n, False) for n in range(6)]", "scratch_bytes"),
    "maps of files without names": ("kept = [forget(n, True) for n in range(6)]", "scratch_bytes"),
    "a folder that cannot be listed": ("hidden()", "scratch_bytes"),
    "many names": ("[open(str(n), 'w').close() for n in range(2500)]", "scratch_bytes"),
    "many folders": ("[os.mkdir(str(n)) for n in range(2500)]", "scratch_bytes"),
    "deep folders": ("[(os.mkdir('d'), os.chdir('d')) for n in range(2500)]", "scratch_bytes"),
    "memory of many": ("[fork(grow) for n in range(4)]", "memory_bytes"),
    "shared memory": ("[fork(share) for n in range(4)]", "memory_bytes"),
}


@pytest.mark.medium
@pytest.mark.parametrize("how", EXCESSES)
def test_too_much_in_all_ends_the_call_and_the_next_starts_afresh(
    worker, how, monkeypatch, tmp_path
):
    use, limit = EXCESSES[how]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asked = worker(
        LIMITS,
        top=TOP,
        grade=f"if turns[-1].content == 'use':\n    {use}\n    time.sleep(600)\nreturn Grade(1.0)",
    )
    error = failure(asked.grade, episodes("a", "use"))
    assert limit in str(error)
    assert error.prompt_id == "p1"
    assert not list(tmp_path.glob("provost-environment-*"))
    assert asked.grade(episodes("a")) == [Grade(1.0)]


def test_no_more_processes_start_than_allowed_and_the_call_goes_on(worker):
    grade = """
        if turns[-1].content == "use":
            [fork(lambda: None) for n in range(25)]
        return Grade(1.0)
        """
    asked = worker(LIMITS, top=TOP, grade=grade)
    assert "raised BlockingIOError" in str(failure(asked.grade, episodes("use")))
    assert asked.grade(episodes("a")) == [Grade(1.0)]


def test_what_is_within_the_limits_goes_on(worker):
    use = "[fill(str(n)).close() for n in range(2)]; [fork(lambda: None) for n in range(9)]; grow()"
    asked = worker(LIMITS, top=TOP, grade=f"{use}\ntime.sleep(0.5)\nreturn Grade(1.0)")
    assert asked.grade(episodes("a")) == [Grade(1.0)]


def test_a_bundle_cannot_say_that_it_used_too_much(worker):
    asked = worker(top="import os", grade="os._exit(201)")
    assert "exit status 199" in str(failure(asked.grade, episodes("a")))


def test_a_bundle_cannot_hide_its_open_files(worker):
    # 4 is PR_SET_DUMPABLE: an ordinary user could not look into the process any more.
    asked = worker(
        top="import ctypes", respond="return str(ctypes.CDLL(None).prctl(4, 0, 0, 0, 0))"
    )
    if not asked.confinement.network_cut:
        pytest.skip("this platform has no filter of system calls")
    assert asked.respond(episodes("a")) == ["-1"]


@pytest.mark.parametrize(
    "make",
    [
        "for n in range(200): os.mkdir('d' * 200); os.chdir('d' * 200)",
        "for n in range(50): os.mkdir('d'); fill('d/' + 'x' * 250, 10); os.chdir('d')",
        "os.mkdir('a'); os.mkdir('a/b'); fill('a/b/c', 10); os.mkdir('no', 0); os.mkdir('x', 64)",
        "os.symlink({outside!r}, 'link'); os.mkdir('d'); os.symlink({outside!r}, 'd/link')",
        "fill('-rf', 10); fill('a\\nb', 10); fill(b'\\xff', 10); os.mkfifo('pipe')",
    ],
)
def test_whatever_a_bundle_leaves_is_removed_and_close_raises_nothing(monkeypatch, tmp_path, make):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("as it was")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    grade = f"{make.format(outside=str(outside))}\nreturn Grade(1.0)"
    limits = WorkerLimits(scratch_bytes=10**12)
    folder = write_bundle(tmp_path / "team", top=TOP, grade=grade)
    # Folders too deep to be counted, and a pipe, are refused.
    with EnvironmentWorker(folder, limits) as asked, contextlib.suppress(EnvironmentFailure):
        asked.grade(episodes("a"))
    assert not list(tmp_path.glob("provost-environment-*"))
    assert (outside / "kept").read_text() == "as it was"


def test_fifteen_hundred_nested_folders_are_removed(monkeypatch, tmp_path):
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    for _ in range(1500):
        os.mkdir("d")  # noqa: PTH102 (a path from the top would be too long)
        os.chdir("d")
    monkeypatch.chdir(tmp_path)
    assert scratch.bytes_in(str(tmp_path / "deep"), 10**12) > 10**12
    assert scratch.remove(str(tmp_path / "deep"))
    assert not (tmp_path / "deep").exists()


def test_a_folder_that_cannot_be_removed_is_reported_without_an_error(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    real = os.rmdir
    monkeypatch.setattr(os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError))
    assert not scratch.remove(str(tmp_path / "a"))
    monkeypatch.setattr(os, "rmdir", real)
    assert scratch.remove(str(tmp_path / "a"))
    assert scratch.remove(str(tmp_path / "a"))  # gone already
    assert not Path(tmp_path, "a").exists()


def test_bytes_are_counted_through_all_levels_and_no_further_than_needed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    before = scratch.bytes_in(str(tmp_path), 10**9)
    (tmp_path / "a" / "b" / "f").write_bytes(b"x" * 100_000)
    os.sync()
    added = scratch.bytes_in(str(tmp_path), 10**9) - before
    assert 100_000 <= added <= 120_000
    assert scratch.bytes_in(str(tmp_path), 10) > 10
