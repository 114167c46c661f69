"""What a wheel may hold: hostile ones are refused before anything of them is unpacked."""

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from lineage.digest import digest_bytes
from tasks.rollout.environment import Grade
from tasks.rollout.wheels import contents
from tasks.rollout.wheels.cache import unpacked, wheel_cache
from tasks.rollout.wheels.contents import read_wheel
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import episodes, processes_of
from tests.support.refused import refused
from tests.support.wheels import bundle_with, locked, write_wheel

HALF = "import tally\nreturn Grade(tally.add(0.25, 0.25))"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of the test's own: the cache of unpacked wheels lies there."""
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    yield
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("module", ["json.py", "socket/__init__.py", "tasks/__init__.py"])
def test_a_wheel_with_a_module_of_python_or_of_the_worker_is_refused(tmp_path, module):
    path = write_wheel(tmp_path, files={"tally.py": "", module: "raise SystemExit"})
    with refused("shadowing-wheel"):
        read_wheel(path)


def test_scripts_data_and_pth_files_are_not_unpacked_and_libraries_are(tmp_path):
    wrote = tmp_path / "wrote"
    path = write_wheel(
        tmp_path,
        files={
            "tally.py": "ONE = 1",
            "start.pth": f"import pathlib; pathlib.Path({str(wrote)!r}).touch()",
            "tally-1.0.data/scripts/run": "#!python\nraise SystemExit",
            "tally-1.0.data/data/etc/passwd": "root",
            "tally-1.0.data/purelib/tally_more.py": "TWO = 2",
        },
    )
    folder = unpacked(read_wheel(path), locked(path).wheels[0].digest, tmp_path / "cache")
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {name for name in found if "dist-info" not in name} == {"tally.py", "tally_more.py"}
    grade = "import tally, tally_more\nreturn Grade(tally.ONE / tally_more.TWO)"
    with EnvironmentWorker(bundle_with(tmp_path / "team", path, grade=grade)) as worker:
        assert worker.grade(episodes("a")) == [Grade(0.5)]
    assert not wrote.exists()


LIE = {"tally.py": "tally.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,3"}


@pytest.mark.parametrize(
    "odd",
    [
        {"files": {"../../escape.py": "", "tally.py": ""}},
        {"files": {"/tmp/escape.py": "", "tally.py": ""}},
        {"files": {"tally\\..\\escape.py": "", "tally.py": ""}},
        {"files": {"tally-1.0.data/purelib/../../escape.py": ""}},
        {"files": {"tally.py": "", "tally-1.0.data/purelib/tally.py": ""}},
        {"files": {"a/b": "", "a/B": ""}},
        {"links": {"tally/secret": "/etc/passwd"}},
        {"unrecorded": ["tally.py"]},
        {"record": {"gone.py": "gone.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"}},
        {"record": {"tally.py": "tally.py,md5=xyz,3"}},
        {"record": {"tally.py": "tally.py,,"}},
        {"files": {"zeros": b"\0" * (65 << 20)}},
        {"metadata": "Name: other\n"},
        {"files": {"tally.py": "", "other-2.dist-info/METADATA": ""}},
    ],
)
def test_a_hostile_wheel_is_refused_before_anything_is_unpacked(tmp_path, odd):
    path = write_wheel(tmp_path / "in", **odd)
    with refused("hostile-wheel"):
        read_wheel(path)
    bundle = bundle_with(tmp_path / "team", path)
    with refused("hostile-wheel"):
        EnvironmentWorker(bundle).__enter__()
    assert not wheel_cache().exists()


def test_a_file_that_record_contradicts_is_refused_and_not_kept(tmp_path):
    path = write_wheel(tmp_path, record=LIE)
    contents_of = read_wheel(path)
    with refused("hostile-wheel"):
        unpacked(contents_of, digest_bytes(b""), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_too_many_files_and_bytes_are_refused(tmp_path, monkeypatch):
    path = write_wheel(tmp_path)
    monkeypatch.setattr(contents, "_MOST_FILES", 3)
    with refused("hostile-wheel"):
        read_wheel(path)
    monkeypatch.setattr(contents, "_MOST_FILES", 4)
    assert read_wheel(path).modules == {"tally"}
    monkeypatch.setattr(contents, "_MOST_BYTES", 10)
    with refused("hostile-wheel"):
        read_wheel(path)


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_file_that_is_not_a_zip_is_refused(tmp_path, cut):
    path = write_wheel(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with refused("hostile-wheel"):
        read_wheel(path)


def test_bytes_that_differ_within_the_zip_are_refused(tmp_path):
    path = write_wheel(tmp_path, files={"tally.py": "ONE = 1"})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("tally.py")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len("tally.py")] ^= 0xFF
    path.write_bytes(data)
    with refused("hostile-wheel"):
        unpacked(read_wheel(path), digest_bytes(b""), tmp_path / "c")


@pytest.mark.parametrize("touch", ["change", "add", "remove", "link"])
def test_a_touched_folder_of_the_cache_is_made_anew(tmp_path, touch):
    wheel = read_wheel(write_wheel(tmp_path))
    digest = digest_bytes(b"any")
    folder = unpacked(wheel, digest, tmp_path / "cache")
    file = folder / "tally.py"
    good = file.read_text()
    file.chmod(0o644)
    if touch == "change":
        file.write_text("raise SystemExit")
    elif touch == "add":
        (folder / "json.py").write_text("")
    else:
        file.unlink()
        if touch == "link":
            file.symlink_to(tmp_path / "tally-1.0-py3-none-any.whl")
    assert unpacked(wheel, digest, tmp_path / "cache") == folder
    assert file.read_text() == good
    assert not file.is_symlink()
    assert not (folder / "json.py").exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_workers_that_start_together_share_one_folder(tmp_path):
    wheel = read_wheel(write_wheel(tmp_path, files={f"part{n}.py": "" for n in range(200)}))
    together = threading.Barrier(8)

    def unpack_one(_):
        together.wait()
        return unpacked(wheel, digest_bytes(b"any"), tmp_path / "cache").stat().st_ino

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(unpack_one, range(8)))
    assert len(found) == 1  # who found it there did not replace it under another's worker
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_an_intact_folder_of_the_cache_is_used_again(tmp_path):
    wheel = read_wheel(write_wheel(tmp_path))
    first = unpacked(wheel, digest_bytes(b"any"), tmp_path / "cache").stat().st_ino
    assert unpacked(wheel, digest_bytes(b"any"), tmp_path / "cache").stat().st_ino == first


def test_licenses_are_read_from_the_metadata(tmp_path):
    for number, (said, expected) in enumerate(
        {
            "License-Expression: Apache-2.0\nLicense: other\n": "Apache-2.0",
            "License: MIT\n": "MIT",
            f"License: {'long ' * 40}\nClassifier: License :: OSI Approved :: ISC License\n": (
                "ISC License"
            ),
            "License: UNKNOWN\n": "",
            "": "",
        }.items()
    ):
        assert read_wheel(write_wheel(tmp_path / str(number), metadata=said)).license == expected
