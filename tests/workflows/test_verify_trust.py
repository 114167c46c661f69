"""``provost lineage verify`` believes the keys of the trust root that the gate itself believes."""

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from lineage.registry import Registry
from lineage.signing import generate_key, sign
from lineage.store import open_store
from tests.lineage.making import write_record
from workflows.cli import main

KEY, PUBLIC = generate_key()


@pytest.fixture(autouse=True)
def signed(tmp_path, monkeypatch):
    """A registered report, signed with KEY."""
    monkeypatch.setenv("PROVOST_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PROVOST_STORE", raising=False)
    store = open_store()
    record, output = write_record(store, b"report", output_kind="report")
    artifact = Artifact(kind="report", digest=output, record=record)
    entry = Registry(store).register("base", artifact, owner="foundation")
    sign(store, entry, KEY)


@pytest.fixture
def trust(tmp_path):
    """A trust root in a place of its own, which believes KEY."""
    file = tmp_path / "trust.toml"
    file.write_text(
        '[teams.foundation]\nnames = ["base"]\n'
        f'[[teams.foundation.keys]]\npublic = "{PUBLIC}"\nsince = "2026-01-01T00:00:00+00:00"\n'
    )
    return file


def verify(*options):
    return CliRunner().invoke(main, ["lineage", "verify", "base@1", *options])


def test_the_trust_root_of_the_environment_is_believed(trust, monkeypatch):
    monkeypatch.setenv("PROVOST_TRUST", str(trust))
    assert "base@1: signed by foundation" in verify().output


def test_the_repository_s_own_is_believed_without_one(monkeypatch):
    monkeypatch.delenv("PROVOST_TRUST", raising=False)
    told = verify()
    assert told.exit_code == 1
    assert "is not in the trust root" in told.output  # which lists no key of this test


def test_one_that_is_named_comes_first(trust, tmp_path, monkeypatch):
    (tmp_path / "other.toml").write_text("")
    monkeypatch.setenv("PROVOST_TRUST", str(tmp_path / "other.toml"))
    assert "base@1: signed by foundation" in verify("--trust", str(trust)).output


def test_a_trust_root_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PROVOST_TRUST", str(tmp_path / "gone.toml"))
    told = verify()
    assert told.exit_code == 1
    assert "gone.toml, which is no file" in told.output
    assert verify("--trust", str(tmp_path / "gone.toml")).exit_code == 2
