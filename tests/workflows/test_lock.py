"""``provost teacher lock``: pip resolves once, and the store has the wheels of the lock."""

import pytest
from click.testing import CliRunner

from lineage.digest import digest_file
from lineage.store.store import open_store
from lineage.wheels import LOCK, parse_lock, write_lock
from tasks.contracts.refusal import RefusedError
from tasks.rollout.environment import Grade
from tasks.rollout.worker.bundle import collect
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.bundles import episodes, write_bundle
from tests.support.wheels import locked, write_wheel
from workflows.cli import main
from workflows.commands.lock import lock_requirements


@pytest.fixture(autouse=True)
def no_index(monkeypatch, tmp_path):
    """Have pip look into the test's folder of wheels alone."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def links(tmp_path):
    folder = tmp_path / "links"
    needs = "Requires-Dist: abacus>=2\nLicense-Expression: MIT\n"
    write_wheel(folder, "tally", metadata=needs)
    write_wheel(folder, "abacus", version="1.0")
    write_wheel(folder, "abacus", version="2.1")
    return folder


@pytest.fixture
def required(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# what the grader needs\ntally\n")
    return path


def refused(action, *arguments, **named):
    with pytest.raises(RefusedError) as caught:
        action(*arguments, **named)
    return caught.value.code


@pytest.mark.medium
def test_requirements_are_resolved_with_what_they_require(required, links):
    store = open_store()
    lock = lock_requirements(required, store, links=links)
    assert [(w.name, w.version, w.license) for w in lock.wheels] == [
        ("abacus", "2.1", ""),
        ("tally", "1.0", "MIT"),
    ]
    assert all(store.has(wheel.digest) for wheel in lock.wheels)
    assert {w.digest for w in lock.wheels} == {
        digest_file(links / wheel.file) for wheel in lock.wheels
    }
    alone = lock_requirements(required, store, links=links, dependencies=False)
    assert [wheel.name for wheel in alone.wheels] == ["tally"]


@pytest.mark.medium
def test_a_lock_is_kept_and_its_wheels_are_fetched_again_by_hash(required, links, tmp_path):
    lock = lock_requirements(required, open_store(), links=links)
    required.with_name(LOCK).write_bytes(write_lock(lock))
    write_wheel(links, "abacus", version="3.0")
    other = open_store(str(tmp_path / "other"))
    assert lock_requirements(required, other, links=links) == lock
    assert all(other.has(wheel.digest) for wheel in lock.wheels)
    required.write_text("tally\nabacus<3\n")
    again = lock_requirements(required, other, links=links)
    assert again.requirements != lock.requirements
    required.write_text("tally\nabacus\n")
    newer = lock_requirements(required, other, links=links)
    assert [wheel.version for wheel in newer.wheels] == ["3.0", "1.0"]


@pytest.mark.medium
def test_another_wheel_of_the_same_name_is_not_fetched_for_a_lock(required, links, tmp_path):
    lock = lock_requirements(required, open_store(), links=links)
    required.with_name(LOCK).write_bytes(write_lock(lock))
    write_wheel(links, "abacus", {"abacus.py": "evil = 1"}, version="2.1")
    other = open_store(str(tmp_path / "other"))
    assert refused(lock_requirements, required, other, links=links) == "unresolved-requirements"


def test_a_package_that_exists_as_source_only_is_refused(required, links):
    (links / "abacus-9.0.tar.gz").write_bytes(b"not looked at")
    required.write_text("abacus==9.0\n")
    code = refused(lock_requirements, required, open_store(), links=links)
    assert code == "unresolved-requirements"


@pytest.mark.medium
def test_a_hostile_wheel_does_not_get_into_the_store(required, links):
    path = write_wheel(links, "tally", files={"tally.py": "", "json.py": ""}, version="2.0")
    store = open_store()
    code = refused(lock_requirements, required, store, links=links, dependencies=False)
    assert code == "shadowing-wheel"
    assert not store.has(digest_file(path))
    write_wheel(links, "tally", unrecorded=["tally.py"], version="3.0")
    code = refused(lock_requirements, required, store, links=links, dependencies=False)
    assert code == "hostile-wheel"


def test_a_broken_lock_is_refused(required, links):
    required.with_name(LOCK).write_text("lock-version = 7")
    assert refused(lock_requirements, required, open_store(), links=links) == "bad-lock"


def test_the_command_locks_a_team_and_its_bundle_then_runs(links, tmp_path, monkeypatch):
    grade = "import tally\nreturn Grade(tally.add(0.5, 0.25))"
    team = write_bundle(tmp_path / "tally_team", grade=grade)
    (team / "__init__.py").touch()
    (team.parent / "acme").mkdir()
    (team.parent / "acme" / "__init__.py").touch()
    team.rename(team.parent / "acme" / "tally_team")
    team = team.parent / "acme" / "tally_team"
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(main, ["teacher", "lock", "acme.tally_team"])
    assert result.exit_code != 0
    (team / "requirements.txt").write_text("tally\n")
    command = ["teacher", "lock", "acme.tally_team", "--find-links", str(links)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "tally 1.0 (MIT)" in result.output
    lock = parse_lock((team / LOCK).read_bytes())
    assert len(lock.wheels) == 2
    bundle = collect("acme.tally_team", tmp_path / "bundle", open_store().get_bytes)
    with EnvironmentWorker(bundle) as worker:
        assert worker.grade(episodes("a")) == [Grade(0.75)]


def test_the_helper_of_these_tests_writes_what_pip_takes(links):
    assert locked(links / "tally-1.0-py3-none-any.whl").wheels[0].name == "tally"
