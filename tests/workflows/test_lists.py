"""Lists go on past what cannot be read, and report it at the end with exit status 1."""

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.evaluate.test_compare import student
from tests.support.making import MINE, release_of
from workflows.cli import main


def register(name, kind, data, owner="team"):
    store = open_store()
    artifact = Artifact(kind=kind, digest=store.put_bytes(data))
    return Registry(store).register(name, artifact, owner=owner)


def said(*arguments):
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


@pytest.fixture(params=["teacher", "student"])
def kind(request):
    """One readable version of a name, before and after names that are bad."""
    good = release_of("math") if request.param == "teacher" else student()
    data = canonical_json(good.model_dump(mode="json"))
    register(f"{request.param}.general", request.param, data)
    return request.param


def damage(home, key):
    file = home / "store" / "keys" / key
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        file.chmod(0o644)
    file.write_bytes(b"no document")


def test_a_list_without_faults_ends_well(kind):
    result = said(kind, "list")
    assert result.exit_code == 0
    assert "general@1" in result.output


def test_a_narrow_terminal_cuts_no_owner(home):
    data = canonical_json(release_of("math").model_dump(mode="json"))
    register("teacher.general", "teacher", data, owner="team-of-instructions")
    listed = CliRunner().invoke(main, ["teacher", "list"], env={"COLUMNS": "80"}).output
    assert "team-of-instructions" in listed


def test_an_entry_that_names_nothing_of_the_kind_is_reported(kind):
    register(f"{kind}.evil", kind, b"a report")
    result = said(kind, "list")
    assert result.exit_code == 1
    assert "general@1" in result.output
    assert f"WRONG {kind}.evil@1" in result.output


@pytest.mark.parametrize("place", ["versions/00000001", "versions/00000002", "versions/00000009"])
def test_a_damaged_slot_of_another_name_is_reported(kind, home, place):
    damage(home, f"{MINE}/registry/{kind}.evil/{place}")
    result = said(kind, "list")
    assert result.exit_code == 1
    assert "general@1" in result.output
    assert f"WRONG {kind}.evil@{place[-1]}" in result.output


@pytest.mark.parametrize("part", ["aliases", "events"])
def test_a_damaged_move_or_recall_is_reported_and_hides_no_version(kind, home, part):
    damage(home, f"{MINE}/registry/{kind}.general/{part}/00000001")
    result = said(kind, "list")
    assert result.exit_code == 1
    row = next(line for line in result.output.splitlines() if "general@1" in line)
    assert row.split()[-1] == {"events": "unknown", "aliases": "active"}[part]
    assert f"{kind}.general" in result.output.partition("WRONG")[2]


@pytest.mark.parametrize("stray", [".DS_Store", "evil/.DS_Store", "Thumbs.db", "general/x~"])
def test_stray_files_are_not_entries(kind, home, stray):
    damage(home, f"{MINE}/registry/{kind}.{stray}" if "/" in stray else f"{MINE}/registry/{stray}")
    result = said(kind, "list")
    assert result.exit_code == 0, result.output
