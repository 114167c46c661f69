"""A home that cannot be used ends in one message; who only reads leaves nothing behind."""

import os
import subprocess

import pytest
from click.testing import CliRunner

from lineage.errors import StoreUnfitError
from lineage.graph.index import Index
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror
from tests.support.refusals import refusal
from tests.support.runs import Maker
from workflows.cli import main

READS = [
    ["teacher", "list"],
    ["student", "list"],
    ["student", "moves"],
    ["student", "show", "student@released"],
    ["plans"],
    ["compare", "student.general@1", "student.general@2"],
    ["lineage", "show", "student@released"],
    ["lineage", "verify", "student@released"],
    ["trust", "show"],
]
RUNS = [["demo"], ["run", "foundation"], ["gate", "--teachers", "math@released"]]


@pytest.mark.parametrize("command", [*READS, *RUNS], ids=" ".join)
def test_a_home_that_is_a_file_is_named_by_its_variable(tmp_path, monkeypatch, command):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("PROVOST_STORE", raising=False)
    message = " ".join(refusal(*command).split())
    assert "is not a folder" in message
    assert "set PROVOST_HOME to a writable folder" in message


@pytest.mark.parametrize("command", [*READS, *RUNS], ids=" ".join)
def test_a_home_that_this_user_cannot_make_is_named(tmp_path, monkeypatch, command):
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere: .ci/unprivileged runs this")
    (tmp_path / "closed").mkdir(mode=0o500)
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "closed" / "home"))
    monkeypatch.delenv("PROVOST_STORE", raising=False)
    assert "set PROVOST_HOME to a writable folder" in " ".join(refusal(*command).split())


@pytest.mark.parametrize(("variable", "other"), [("HOME", "STORE"), ("STORE", "HOME")])
def test_the_variable_that_is_set_is_the_one_to_change(tmp_path, monkeypatch, variable, other):
    (tmp_path / "file").touch()
    monkeypatch.delenv(f"PROVOST_{other}", raising=False)
    monkeypatch.setenv(f"PROVOST_{variable}", str(tmp_path / "file" / "x"))
    with pytest.raises(StoreUnfitError, match=f"PROVOST_{variable} "):
        open_store()


def test_doctor_says_that_a_home_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("PROVOST_STORE", raising=False)
    result = CliRunner().invoke(main, ["doctor"], catch_exceptions=False)
    assert result.exit_code == 1
    assert "is not a folder" in " ".join(result.output.split())


@pytest.mark.parametrize("command", READS, ids=" ".join)
def test_who_only_reads_leaves_nothing_in_another_folder(tmp_path, monkeypatch, command):
    monkeypatch.delenv("PROVOST_HOME", raising=False)
    monkeypatch.delenv("PROVOST_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code in {0, 1}
    assert list(tmp_path.iterdir()) == []


def test_a_climb_without_a_foundation_is_refused_with_the_command_that_makes_one(home):
    message = refusal("run", "teacher", "math")
    assert "run `provost run foundation` first" in " ".join(message.split())


@pytest.fixture
def full_disk(tmp_path):
    """A file system without a free byte; mounting it needs a user who may."""
    place = tmp_path / "full"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs rights that this user has not")
    (place / "index").mkdir()
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    (place / "filler").write_bytes(b"\0" * free)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def base(home):
    """Register a base in a store, and return its artifact."""
    made = Maker(StepRunner(mirror=MemoryMirror())).checkpoint(0, kind="base")
    Registry(open_store()).register("base", made, owner="foundation")
    return made


def test_lineage_is_shown_beside_a_full_disk(base, home, full_disk, monkeypatch):
    monkeypatch.setenv("PROVOST_STORE", str(home / "store"))
    expected = CliRunner().invoke(main, ["lineage", "show", "base@1"], catch_exceptions=False)
    assert expected.exit_code == 0
    assert expected.output.startswith("base@1 ")
    monkeypatch.setenv("PROVOST_HOME", str(full_disk))
    shown = CliRunner().invoke(main, ["lineage", "show", "base@1"], catch_exceptions=False)
    assert (shown.exit_code, shown.stdout) == (0, expected.stdout)


def test_an_index_without_a_place_is_kept_in_memory(base, tmp_path):
    (tmp_path / "file").touch()
    index = Index(open_store(), path=tmp_path / "file" / "x.db")
    assert index.of_kind("base") == [base.record]
    assert index.makers(base.digest) == [base.record]


def test_a_damaged_index_is_made_anew(base, tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"no database" * 999)
    assert Index(open_store(), path=path).of_kind("base") == [base.record]
    assert path.read_bytes().startswith(b"SQLite format 3")
