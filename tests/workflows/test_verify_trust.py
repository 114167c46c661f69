"""Verify and trust commands read the store's own trust root, from whatever folder."""

import json

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from lineage.dsse import SigningKey
from lineage.operations import unchanged
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from lineage.trust.author import own_key
from lineage.trust.chain import read_chain
from tests.lineage.test_adoption import register_old, write_old
from tests.support.making import MINE, write_record
from workflows.cli import main


def provost(*command):
    return CliRunner().invoke(main, command)


@pytest.fixture
def registered(home):
    """A registered report in a store of one's own."""
    store = open_store()
    record, output = write_record(store, b"report", output_kind="report")
    artifact = Artifact(kind="report", digest=output, record=record)
    Registry(store).register("base", artifact, owner="foundation")
    return store


def test_what_is_registered_is_signed_without_a_question(registered):
    told = provost("lineage", "verify", "base@1", "--require-signed")
    assert told.exit_code == 0
    assert "base@1: signed by local" in told.output


def test_a_second_verification_hashes_what_is_unchanged_only_with_full(registered, monkeypatch):
    monkeypatch.setattr(unchanged, "_SETTLED_SECONDS", -60.0)

    def counts(*flags):
        told = json.loads(provost("lineage", "verify", "base@1", "--json", *flags).output)
        return told["blobs"], told["unchanged"], told["bytes"], told["unchanged_bytes"]

    size = len(b"report")
    assert counts() == (1, 0, size, 0)
    assert counts() == (1, 1, 0, size)
    assert counts("--full") == (1, 0, size, 0)


def test_another_folder_does_not_lower_the_bar(registered, tmp_path, monkeypatch):
    folder = registered._keys / MINE / "registry/base/versions"
    data = (folder / "00000001").read_bytes()
    (folder / "00000001").unlink()
    (folder / "00000001").write_bytes(data.replace(b"A", b"B", 1))
    monkeypatch.setenv("PROVOST_STORE", registered.uri)
    monkeypatch.chdir(tmp_path)
    assert provost("lineage", "verify", "base@1").exit_code == 1


def test_an_unsigned_statement_passes_only_where_signatures_are_optional(home):
    store = open_store()
    register_old(store, "base", 1, write_old(store, b"old"))
    assert provost("lineage", "verify", "base@1").exit_code == 0
    assert provost("lineage", "verify", "base@1", "--require-signed").exit_code == 1
    assert provost("lineage", "adopt").exit_code == 0
    told = provost("lineage", "verify", "base@1", "--require-signed")
    assert told.exit_code == 0
    assert "base@1: adopted" in told.output


def test_a_file_that_loses_what_was_signed_is_not_published(registered, tmp_path):
    file, other = tmp_path / "trust.toml", SigningKey.generate().public
    file.write_text(
        f'maintainers = ["{own_key().public}"]\n[teams.local]\nnames = ["*"]\n'
        f'[[teams.local.keys]]\npublic = "{other}"\nsince = "2026-11-01T00:00:00+00:00"\n'
    )
    assert provost("trust", "publish", str(file)).exit_code == 1
    assert read_chain(registered).version == 1
    assert provost("lineage", "verify", "base@1", "--require-signed").exit_code == 0


def test_a_trust_root_is_made_shown_and_changed(home, tmp_path, monkeypatch):
    assert provost("trust", "show").exit_code == 1
    assert provost("trust", "init").exit_code == 0
    assert provost("trust", "init").exit_code == 1
    mine = read_chain(open_store()).maintainers[0]
    assert mine in provost("trust", "show").output
    file = tmp_path / "trust.toml"
    file.write_text(f'maintainers = ["{mine}"]\n[teams.team-math]\nnames = ["teacher.math"]\n')
    assert provost("trust", "publish", str(file)).exit_code == 0
    assert "team-math: teacher.math" in provost("trust", "show").output
    monkeypatch.setenv("PROVOST_SIGNING_KEY", SigningKey.generate().to_pem())
    file.write_text(file.read_text() + "# changed by a stranger\n[teams.evil]\nnames = ['base']\n")
    assert provost("trust", "publish", str(file)).exit_code == 1
    assert read_chain(open_store()).version == 2
