"""One command runs every test: a part that hangs, fails or lacks something is named."""

import time
from pathlib import Path

import pytest

from benchmarks.platform.all_tests import Part, imported, line, outcome, passed_at, run, summary

TESTS = """
import subprocess, sys, time, pytest

def test_it_holds():
    pass

def test_it_does_not_hold():
    assert 1 + 1 == 3

@pytest.mark.skip(reason="no browser here")
def test_it_needs_a_browser():
    pass

def test_it_hangs():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "test_example.py"
    path.write_text(TESTS)
    return str(path)


@pytest.mark.medium
def test_a_part_counts_what_passed_and_names_what_failed_and_what_lacks_something(file):
    row = run(Part("example", (file, "-k", "not hangs", "-c", "/dev/null")))
    assert (row["part"], row["outcome"], row["passed"]) == ("example", "failed", 1)
    assert [each.partition("::")[2] for each in row["failed"]] == ["test_it_does_not_hold"]
    [lack] = row["skipped"]
    assert lack["because"] == "no browser here"
    assert "no browser here" in line(row)


def test_a_part_in_which_all_lack_something_is_skipped(tmp_path):
    report = tmp_path / "report.xml"
    case = '<testcase classname="tests.a" name="b"><skipped message="no browser here"/></testcase>'
    report.write_text(f"<testsuite>{case}</testsuite>")
    lack = {"test": "tests/a.py::b", "because": "no browser here"}
    assert outcome(report, 0) == {
        "outcome": "skipped", "passed": 0, "failed": [], "skipped": [lack],
    }  # fmt: skip


@pytest.mark.medium
def test_a_part_ends_at_its_limit_with_its_children(file):
    begin = time.monotonic()
    row = run(Part("example", (file, "-k", "hangs", "-c", "/dev/null"), minutes=0.05))
    assert row["outcome"] == "timed out"
    assert time.monotonic() - begin < 60


def test_a_part_without_its_device_is_skipped_by_name():
    row = run(Part("gpu", ("nowhere.py",), lacks="a CUDA device"))
    assert row["outcome"] == "skipped"
    assert row["skipped"] == [{"test": "gpu", "because": "this machine lacks a CUDA device"}]


def test_a_part_that_cannot_start_has_failed(tmp_path):
    row = outcome(tmp_path / "report.xml", 4)
    assert row == {"outcome": "failed", "failed": ["pytest ended with status 4"]}


PASSED = {
    "part": "a",
    "outcome": "passed",
    "passed": 2,
    "failed": [],
    "skipped": [],
    "seconds": 1.0,
}
FAILED = {
    "part": "b",
    "outcome": "failed",
    "passed": 1,
    "failed": ["t"],
    "skipped": [],
    "seconds": 1.0,
}
HANGS = {"part": "c", "outcome": "timed out", "minutes": 20.0, "seconds": 1200.0}


def test_the_whole_passes_if_no_part_failed_or_ran_out_of_time():
    assert summary([PASSED])["outcome"] == "passed"
    assert summary([PASSED], ["b"])["outcome"] == "unfinished"
    assert summary([PASSED, FAILED])["did_not_pass"] == ["b"]
    assert summary([PASSED, HANGS])["outcome"] == "failed"
    assert summary([PASSED, FAILED])["passed"] == 3
    assert summary([PASSED, FAILED])["failed"] == 1


def test_only_what_passed_on_the_same_commit_is_not_run_again():
    earlier = {"parts": [PASSED | {"tree": "abc"}, FAILED | {"tree": "abc"}]}
    assert passed_at({"a": "abc", "b": "abc"}, earlier) == [PASSED | {"tree": "abc"}]
    assert passed_at({"a": "abd", "b": "abc"}, earlier) == []
    assert passed_at({"b": "abc"}, earlier) == []  # the part is no more


def test_a_part_depends_on_the_test_files_that_it_imports():
    file = "tests/onpolicy/test_adapters_of_families.py"
    found = imported(Path(file))
    assert found[0] == file
    assert {"tests/onpolicy/test_loop.py", "tests/onpolicy/test_student.py"} <= set(found)
    assert "tests/onpolicy/test_cuts.py" not in found
