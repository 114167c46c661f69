"""The contract between a task's container and Flyte, without a cluster.

Its command exits with 0 whether or not the task failed; what Flyte goes by is ``error.pb``.
"""

import re

import pytest
from flyteidl.core import literals_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from lineage.artifacts import Artifact
from lineage.dsse import SigningKey
from tasks.contracts.handover import StageLabel
from tasks.release.task import collect_domain, resolve_checkpoint
from tasks.sft.settings import SftSettings
from tasks.sft.task import finetune
from tests.support import deck_task
from tests.support.container import ROOT, Container

pytestmark = pytest.mark.medium  # pods are processes

SHOWN = 100
"""How many characters of an error a list in Flyte's console shows."""
CLOSED = "http://127.0.0.1:9"
NOWHERE = "sha256:" + "0" * 64


def test_a_reference_to_nothing_is_the_users_error_and_not_tried_again(tmp_path):
    ended = Container(resolve_checkpoint, tmp_path / "pod", {"reference": "math@released"}).run()
    assert ended.code == 0
    assert not ended.is_recoverable
    assert "math" in ended.error.message[:SHOWN]
    assert "nothing yet" in ended.error.message
    assert not (ended.folder / "outputs.pb").exists()


@pytest.mark.slow  # botocore's own retries take a minute
def test_a_store_that_does_not_answer_is_worth_another_attempt(tmp_path):
    ended = Container(resolve_checkpoint, tmp_path / "pod", {"reference": "math@released"}).run(
        PROVOST_STORE="s3://models/provost",
        AWS_ENDPOINT_URL=CLOSED,
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_MAX_ATTEMPTS="1",
    )
    assert ended.code == 0
    assert ended.is_recoverable
    assert CLOSED in ended.error.message


def test_a_pod_without_its_signing_key_ends_before_anything_is_spent(tmp_path):
    inputs = {"reference": "fork-point@released"}
    ended = Container(resolve_checkpoint, tmp_path / "pod", inputs).run(PROVOST_FLAVOR="cpu")
    assert ended.code == 0
    assert not ended.is_recoverable
    assert "(PEM) to the secret provost-signing" in ended.error.message


def test_a_pod_that_pyflyte_registered_ends_in_its_first_second_with_the_command_to_use(tmp_path):
    inputs = {"reference": "fork-point@released"}
    ended = Container(resolve_checkpoint, tmp_path / "pod", inputs).run(PROVOST_STORE="")
    assert ended.code == 0
    assert not ended.is_recoverable
    assert "`provost register`" in ended.error.message
    assert not (tmp_path / "home/store").exists()  # no store was made in the pod's own scratch


@pytest.mark.slow  # imports torch
def test_a_pod_without_the_gpus_of_its_flavor_ends_before_anything_is_spent(tmp_path):
    inputs = {"reference": "fork-point@released"}
    (tmp_path / "key").write_text(SigningKey.generate().to_pem())
    pod = Container(resolve_checkpoint, tmp_path / "pod", inputs)
    flavored = {"PROVOST_FLAVOR": "h100", "PROVOST_SIGNING_KEY_FILE": str(tmp_path / "key")}
    assert pod.run(**flavored).error.code == "USER:RefusedError"  # a plan needs none
    inputs = {
        "start": Artifact(kind="checkpoint", digest=NOWHERE, record=NOWHERE, uri="nowhere"),
        "data": [],
        "settings": SftSettings(num_steps=1, learning_rate=1e-3),
        "seed": 0,
        "stage": StageLabel(name="math sft", owner="team-math"),
    }
    ended = Container(finetune, tmp_path / "training", inputs).run(**flavored)
    assert not ended.is_recoverable
    assert "sft needs 1 GPUs under the flavor h100 but this machine has 0" in ended.error.message


def box(**fields):
    """A pydantic input as Flyte's console sends it: a JSON box becomes a Struct."""
    struct = ParseDict(fields, Struct())
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(generic=struct))


def text(value):
    primitive = literals_pb2.Primitive(string_value=value)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


def whole(value):
    primitive = literals_pb2.Primitive(integer=value)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("owners", "team-math", "Extra inputs are not permitted"),
        pytest.param("num_train", 0, "greater than or equal to 1", marks=pytest.mark.slow),
    ],
)
def test_wrong_fields_in_a_json_box_are_named_and_not_tried_again(tmp_path, field, value, said):
    settings = {"name": "math", "owner": "team-math", "version": "1.0.0", field: value}
    package = text("workflows.teachers.math")
    literals = {"package": package, "settings": box(**settings), "seed": whole(0)}
    written = literals_pb2.LiteralMap(literals=literals)
    ended = Container(collect_domain, tmp_path / "pod", {}, literals=written).run()
    assert ended.code == 0
    assert not ended.is_recoverable
    assert field in ended.error.message[:SHOWN]
    assert said in ended.error.message
    assert "Traceback" not in ended.error.message


def test_a_task_that_refuses_leaves_its_page_beside_its_error(tmp_path):
    page = "<html><body><p>math was recalled</p></body></html>"
    ended = Container(deck_task.refuse, tmp_path / "pod", {"page": page, "findings": 1}).run()
    assert ended.code == 0
    assert not ended.is_recoverable
    assert "the plan is refused" in ended.error.message
    shown = (ended.folder / "deck.html").read_text()
    assert "math was recalled" in shown
    # Flyte puts pages into its own; in a frame each keeps its style and its policy.
    assert '<iframe title="findings" sandbox=""' in shown
    assert page not in shown


def test_every_page_is_shown_by_the_one_function_that_frames_it():
    files = [file for folder in ("tasks", "workflows") for file in (ROOT / folder).rglob("*.py")]
    made = [file for file in files if re.search(r"\bDeck\(", file.read_text("utf-8"))]
    assert made == [ROOT / "tasks" / "platform" / "hosting.py"]


def test_a_page_of_the_same_name_takes_the_place_of_the_one_before(tmp_path):
    pages = {"first": "<p>step 1</p>", "second": "<p>step 2</p>"}
    ended = Container(deck_task.show_twice, tmp_path / "pod", pages).run()
    assert ended.error is None, ended.error.message
    shown = (ended.folder / "deck.html").read_text()
    assert "step 2" in shown
    assert "step 1" not in shown
