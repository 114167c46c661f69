"""Wheels in a bundle: those of the lock are imported in the worker, and nothing else is."""

import sys

import pytest

from lineage.artifacts import Artifact
from lineage.digest import digest_bytes
from lineage.store.store import open_store
from lineage.wheels import FOLDER, LOCK, Lock, LockError, parse_lock, write_lock
from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.environment import Grade
from tasks.rollout.wheels.bundled import (
    add_wheels,
    carried,
    locked_wheels,
    modules_of,
    site_folders,
)
from tasks.rollout.wheels.cache import wheel_cache
from tasks.rollout.worker.bundle import BundleError, check, collect
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import episodes, processes_of, write_bundle
from tests.support.refused import raised, refused
from tests.support.wheels import bundle_with, carry, locked, write_wheel

HALF = "import tally\nreturn Grade(tally.add(0.25, 0.25))"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of the test's own: the cache of unpacked wheels lies there."""
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    yield
    assert processes_of(tmp_path) == []


def test_a_grader_uses_a_package_that_only_its_bundle_carries(tmp_path):
    bundle = bundle_with(tmp_path / "team", write_wheel(tmp_path), grade=HALF)
    check(bundle)
    with EnvironmentWorker(bundle) as worker:
        assert worker.grade(episodes("a")) == [Grade(0.5)]
        assert worker.confinement.openings == []
    assert "tally" not in sys.modules


def test_the_package_alone_is_readable_and_nothing_of_it_is_writable(tmp_path):
    (tmp_path / "home" / "cache" / "wheels" / "other").mkdir(parents=True)
    secret = tmp_path / "home" / "cache" / "wheels" / "other" / "secret.py"
    secret.write_text("SECRET = 1")
    tries = f"""
import tally
try:
    open({str(secret)!r}).read()
except PermissionError:
    pass
else:
    return "read"
try:
    open(tally.__file__, "w")
except PermissionError:
    return "kept"
return "written"
"""
    bundle = bundle_with(tmp_path / "team", write_wheel(tmp_path), respond=tries)
    with EnvironmentWorker(bundle) as worker:
        if worker.confinement.files_hidden:
            assert worker.respond(episodes("a")) == ["kept"]


def test_a_bundle_without_wheels_runs_as_before(tmp_path):
    bundle = write_bundle(tmp_path / "team", grade="import sys\nreturn Grade(0.25, str(sys.path))")
    assert locked_wheels(bundle) == ()
    with EnvironmentWorker(bundle) as worker:
        (grade,) = worker.grade(episodes("a"))
    assert grade.score == 0.25
    assert "cache" not in grade.reason


def test_what_is_installed_beside_provost_is_not_importable(tmp_path):
    bundle = bundle_with(tmp_path / "team", write_wheel(tmp_path), grade="import numpy")
    with EnvironmentWorker(bundle) as worker, pytest.raises(EnvironmentFailure, match="numpy"):
        worker.grade(episodes("a"))


def test_the_standard_library_comes_before_the_packages_of_a_bundle(tmp_path):
    grade = "import sys\nreturn Grade(0.0, ' '.join(sys.path))"
    with EnvironmentWorker(bundle_with(tmp_path / "a", write_wheel(tmp_path), grade=grade)) as one:
        (grade,) = one.grade(episodes("a"))
    *before, last = grade.reason.split()
    assert last.startswith(str(wheel_cache()))
    assert not any(folder.startswith(str(wheel_cache())) for folder in before)


def test_a_wheel_outside_the_lock_is_refused(tmp_path):
    bundle = bundle_with(tmp_path / "team", write_wheel(tmp_path))
    write_wheel(bundle / FOLDER, "extra")
    with refused("wheel-outside-lock"):
        locked_wheels(bundle)
    (bundle / LOCK).unlink()
    with refused("wheel-outside-lock"):
        EnvironmentWorker(bundle).__enter__()


def test_a_wheel_that_is_missing_or_has_other_bytes_is_refused(tmp_path):
    path = write_wheel(tmp_path)
    bundle = bundle_with(tmp_path / "team", path)
    (bundle / FOLDER / path.name).write_bytes(path.read_bytes() + b" ")
    with refused("other-wheel"):
        site_folders(bundle, tmp_path / "cache")
    (bundle / FOLDER / path.name).unlink()
    with refused("missing-wheel"):
        site_folders(bundle, tmp_path / "cache")


def test_a_package_that_the_sandbox_needs_too_comes_from_the_bundle(tmp_path):
    wheel = write_wheel(tmp_path, "typing_extensions", {"typing_extensions.py": "OWN = 0.5"})
    grade = "import typing_extensions\nreturn Grade(typing_extensions.OWN)"
    with EnvironmentWorker(bundle_with(tmp_path / "team", wheel, grade=grade)) as worker:
        assert worker.grade(episodes("a")) == [Grade(0.5)]


@pytest.mark.parametrize(
    "tag", ["cp39-cp39-win_amd64", "cp27-none-any", "py3-none-macosx_11_0_arm64"]
)
def test_a_wheel_for_another_platform_or_python_is_refused(tmp_path, tag):
    bundle = bundle_with(tmp_path / "team", write_wheel(tmp_path, tag=tag))
    with refused("foreign-wheel"):
        EnvironmentWorker(bundle).__enter__()


@pytest.mark.parametrize(
    ("tag", "severities"),
    [
        ("py3-none-any", {"carried-packages": "note"}),
        ("cp39-cp39-win_amd64", {"carried-packages": "note", "foreign-wheel": "refusal"}),
    ],
)
def test_a_plan_lists_packages_before_anything_trains(tmp_path, tag, severities):
    store = open_store()
    digest = store.put_tree(bundle_with(tmp_path / "team", write_wheel(tmp_path, tag=tag)))
    findings = list(carried(store, "math@1", Artifact(kind="environment", digest=digest)))
    assert {finding.code: finding.severity for finding in findings} == severities
    assert "tally 1.0" in findings[0].evidence
    plain = store.put_tree(write_bundle(tmp_path / "plain"))
    assert list(carried(store, "math@1", Artifact(kind="environment", digest=plain))) == []


def test_a_wheel_that_requires_another_python_is_refused(tmp_path):
    other = write_wheel(tmp_path, metadata="Requires-Python: <3\n")
    with refused("foreign-wheel"):
        site_folders(bundle_with(tmp_path / "a", other), tmp_path)
    own = write_wheel(tmp_path, metadata="Requires-Python: >=3.8\n")
    assert len(site_folders(bundle_with(tmp_path / "b", own), tmp_path / "cache")) == 1


def test_the_same_lock_gives_the_same_bytes_and_reads_back(tmp_path):
    one, two = write_wheel(tmp_path), write_wheel(tmp_path, "abacus")
    lock = Lock(locked(one, two, licenses={"tally": "MIT"}).wheels, digest_bytes(b"tally"))
    again = Lock(lock.wheels[::-1], lock.requirements)
    assert write_lock(lock) == write_lock(again)
    read = parse_lock(write_lock(lock))
    assert sorted(read.wheels) == sorted(lock.wheels)
    assert read.requirements == lock.requirements
    assert [wheel.license for wheel in read.wheels] == ["", "MIT"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('lock-version = "1.0"', 'lock-version = "2.0"'),
        ('name = "tally"', 'name = "other"'),
        ('version = "1.0"\n', 'version = "2.0"\n'),
        ("sha256 = ", "md5 = "),
        ("[[packages.wheels]]", "[packages.sdist]"),
        ("tally-1.0-py3-none-any.whl", "tally-1.0.tar.gz"),
        ("[[packages]]", "[[packages"),
    ],
)
def test_a_lock_of_anything_but_wheels_with_hashes_is_refused(tmp_path, old, new):
    bundle = bundle_with(tmp_path / "team", write_wheel(tmp_path))
    text = (bundle / LOCK).read_text()
    assert old in text
    with pytest.raises(LockError):
        parse_lock(text.replace(old, new).encode())
    (bundle / LOCK).write_text(text.replace(old, new))
    with refused("bad-lock"):
        locked_wheels(bundle)


def test_a_package_twice_in_a_lock_is_refused(tmp_path):
    text = write_lock(locked(write_wheel(tmp_path))).decode()
    start, end = text.index("[[packages]]"), text.index("[tool.provost]")
    with raised(LockError, "repeated", "tally"):
        parse_lock((text[:end] + text[start:end] + text[end:]).encode())


@pytest.fixture
def team(tmp_path, monkeypatch):
    """A team's folder that is importable as ``tally_team``."""
    folder = write_bundle(tmp_path / "tally_team", grade=HALF)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_team_with_a_lock_is_collected_with_its_wheels(team, tmp_path):
    path = write_wheel(tmp_path / "in")
    lock = locked(path)
    (team / LOCK).write_bytes(write_lock(lock))
    kept = {lock.wheels[0].digest: path.read_bytes()}
    bundle = collect("tally_team", tmp_path / "bundle", kept.get)
    check(bundle)
    assert modules_of(bundle) == {"tally"}
    names = {file.relative_to(bundle).as_posix() for file in bundle.rglob("*") if file.is_file()}
    assert names == {"environment.py", "prompts.py", LOCK, f"{FOLDER}/{path.name}"}
    with EnvironmentWorker(bundle) as worker:
        assert worker.grade(episodes("a")) == [Grade(0.5)]


def test_a_wheel_that_the_store_lacks_is_refused(team, tmp_path):
    (team / LOCK).write_bytes(write_lock(locked(write_wheel(tmp_path / "in"))))
    with refused("missing-wheel"):
        collect("tally_team", tmp_path / "bundle")


@pytest.mark.parametrize("text", ["tally==1.0", "# nothing yet\ntally\n"])
def test_requirements_without_a_lock_are_refused(team, tmp_path, text):
    (team / "requirements.txt").write_text(text)
    with refused("requirements-not-locked"):
        add_wheels(team, tmp_path / "bundle", {}.get)


def test_requirements_other_than_the_locked_are_refused(team, tmp_path):
    path = write_wheel(tmp_path / "in")
    (team / "requirements.txt").write_text("tally>=1\n")
    from tasks.rollout.wheels.requirements import read_requirements, requirements_digest

    said = requirements_digest(read_requirements(team / "requirements.txt"))
    lock = Lock(locked(path).wheels, said)
    (team / LOCK).write_bytes(write_lock(lock))
    kept = {lock.wheels[0].digest: path.read_bytes()}
    assert add_wheels(team, tmp_path / "one", kept.get) == {"tally"}
    (team / "requirements.txt").write_text("# the same\ntally>=1  # indeed\n")
    assert add_wheels(team, tmp_path / "two", kept.get) == {"tally"}
    (team / "requirements.txt").write_text("tally>=2\n")
    with refused("requirements-not-locked"):
        add_wheels(team, tmp_path / "three", kept.get)


@pytest.mark.parametrize(
    "line",
    ["-r other.txt", "--index-url https://x", "tally @ https://x/y.whl", "./tally", "-e .", "a b"],
)
def test_anything_but_a_package_and_a_version_is_refused(team, tmp_path, line):
    (team / "requirements.txt").write_text(f"tally\n{line}\n")
    with refused("bad-requirement"):
        add_wheels(team, tmp_path / "bundle", {}.get)


def test_an_import_that_no_wheel_provides_is_refused_with_its_line(team, tmp_path):
    (team / "environment.py").write_text("import sympy\n" + (team / "environment.py").read_text())
    carry(team, write_wheel(tmp_path / "in"))
    with raised(BundleError, "foreign-import", "environment.py, line 1", "'sympy'"):
        check(team)
