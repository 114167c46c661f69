"""A recall finds every descendant, whatever else is said of their records."""

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from lineage.compatibility.collect import family_artifacts
from lineage.digest import hex_of
from lineage.graph.graph import Lineage
from lineage.operations.recall import recall
from lineage.records.record import Attestation, Records
from lineage.registry.registry import Registry
from lineage.registry.valid_recalls import Used
from lineage.store.store import open_store
from tests.support.making import MINE, TIME, take, write_record
from workflows.cli import main


class Family:
    """A teacher, a student of it and a student of that, in a store."""

    def __init__(self, store):
        self.store = store
        self.fork = write_record(store, b"fork")
        self.math = write_record(store, b"math", take("start", self.fork), kind="rl")
        self.student = write_record(store, b"student", take("teacher", self.math), kind="mopd")
        self.later = write_record(store, b"later", take("student", self.student), kind="mopd")
        registry = Registry(store)
        for name, made in (("teacher.math", self.math), ("student.general", self.student)):
            artifact = Artifact(kind="checkpoint", digest=made[1], record=made[0])
            registry.register(name, artifact, owner=f"owner of {name}")

    def attest(self, record, output, kind="checkpoint"):
        """Append a statement to a record, as anybody can who may write there."""
        attestation = Attestation(
            derivation=record,
            output=output,
            output_kind=kind,
            owner="team-evil",
            started=TIME,
            finished="9999-01-01T00:00:00+00:00",
        )
        path = f"attestations/{hex_of(record)}"
        slots = Records(self.store).journal.slots("local", path, Attestation)
        slots.append(lambda _, __: attestation)

    def recalled(self, tmp_path):
        lineage = Lineage(self.store, tmp_path / "index.db")
        return recall(self.store, lineage, "math@1", "lead", "leak")


@pytest.fixture
def family(store):
    return Family(store)


def found(done):
    return {item.output for item in done.affected}


def test_junk_beside_an_attestation_hides_no_descendant_and_is_reported(family, tmp_path):
    family.store.claim(f"{MINE}/attestations/{hex_of(family.student[0])}/00000009", b"junk")
    done = family.recalled(tmp_path)
    assert found(done) == {family.student[1], family.later[1]}
    assert done.affected[0].names == ("student.general@1",)
    [told] = done.left_out
    assert told.startswith(f"{MINE}/attestations/{hex_of(family.student[0])}/00000009: ")


@pytest.mark.parametrize("key", [f"{MINE}/attestations/x", f"{MINE}/attestations/x/y/z"])
def test_stray_files_leave_everything_else_in_the_index(family, tmp_path, key):
    stray = family.store._keys / key
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"junk")
    done = family.recalled(tmp_path)
    assert found(done) == {family.student[1], family.later[1]}
    assert {told.split(": ")[0] for told in done.left_out} <= {key}  # some stores pass it over


def test_a_descendant_without_a_readable_statement_is_listed_by_its_record(family, tmp_path):
    folder = family.store._keys / MINE / "attestations" / hex_of(family.later[0])
    for path in folder.iterdir():
        path.chmod(0o644)
        path.write_bytes(b"junk")
    done = family.recalled(tmp_path)
    assert [(item.record, item.output) for item in done.affected] == [
        family.student,
        (family.later[0], ""),
    ]


def test_the_recalled_digest_as_a_students_output_does_not_hide_the_student(family, tmp_path):
    family.attest(family.student[0], family.math[1])
    assert found(family.recalled(tmp_path)) == {family.student[1], family.later[1]}


def test_a_later_statement_of_another_kind_does_not_hide_the_student(family, tmp_path):
    other = family.store.put_bytes(b"a scorecard")
    family.attest(family.student[0], other, "scorecard")
    assert found(family.recalled(tmp_path)) == {family.student[1], family.later[1]}


def test_a_recalled_digest_as_another_teams_output_withdraws_nothing_of_that_team(family):
    code = write_record(family.store, b"code", take("start", family.fork), kind="rl")
    family.attest(code[0], family.math[1])
    taken = family_artifacts(Records(family.store), [code[0], family.fork[0]])
    assert taken == {Used(family.fork[1], family.fork[0])}


def test_a_name_that_cannot_be_read_ends_no_recall(family, tmp_path):
    family.store.claim(f"{MINE}/registry/teacher.evil/versions/00000001", b"garbage")
    done = family.recalled(tmp_path)
    assert found(done) == {family.student[1], family.later[1]}
    assert [told.split(": ")[0] for told in done.left_out] == ["registry/teacher.evil"]


@pytest.mark.medium
def test_the_command_prints_what_could_not_be_read(home, monkeypatch):
    family = Family(open_store())
    family.store.claim(f"{MINE}/attestations/{hex_of(family.student[0])}/00000009", b"junk\x1b[2J")
    told = CliRunner().invoke(
        main, ["teacher", "recall", "math@1", "--by", "lead", "--reason", "leak", "--yes"]
    )
    assert told.exit_code == 0, told.output
    assert "student.general@1" in told.output
    assert "descendants may be missing" in told.output
    assert "\x1b" not in told.output
