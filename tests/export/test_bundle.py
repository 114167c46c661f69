"""The history of an export, read and verified by what others wrote: no code of ours checks it."""

import base64
import hashlib
import json

import pytest
from click.testing import CliRunner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from lineage.digest import digest_file, hex_of
from lineage.dsse import SigningKey
from lineage.errors import LineageError
from lineage.export.folder import BUNDLE, export
from lineage.export.origin import plain_repository
from lineage.export.statement import made_of, provenance
from lineage.export.subject import subject_of
from lineage.records.derivation import FlyteRun
from lineage.records.record import Attestation, Derivation, Records
from lineage.trust.author import own_key
from tests.support.exported_family import HUB_BASE
from tests.support.making import SOURCE, TIME, take, write_record
from workflows.cli import main

REPOSITORY = "https://git.example.org/post/training"
IMAGE = "registry.example.org:5000/post/train:v3@sha256:" + "c" * 64
COMMIT = "d" * 40


@pytest.fixture
def key():
    return SigningKey.generate()


@pytest.fixture
def folder(family, key, tmp_path):
    return export(subject_of(family.store, "student@1"), tmp_path / "out", key, REPOSITORY).folder


def envelopes(folder):
    return [json.loads(line) for line in (folder / BUNDLE).read_text().splitlines()]


def everything(folder):
    return [json.loads(base64.b64decode(each["payload"])) for each in envelopes(folder)]


def statements(folder):
    """Return the statements of records."""
    return everything(folder)[1:]


def test_the_first_line_tells_every_other_file_of_the_folder(folder):
    whole = everything(folder)[0]
    Statement.copy_from_pb(json_format.ParseDict(whole, statement_pb2.Statement())).validate()
    assert whole["predicateType"] == "https://in-toto.io/attestation/release/v0.1"
    assert whole["predicate"] == {"purl": "pkg:generic/student.general@1"}
    told = {each["name"]: each["digest"]["sha256"] for each in whole["subject"]}
    there = {path.name: path for path in folder.iterdir() if path.name != BUNDLE}
    assert told == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()
    }
    assert {"README.md", "bom.cdx.json", "openlineage.jsonl", "model.safetensors"} <= told.keys()


def verify_by_hand(envelope, pem):
    """Verify one signature as the DSSE protocol writes it, with a key in PEM."""
    kind, body = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    said = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    load_pem_public_key(pem.encode()).verify(signature, said)


def test_every_line_is_an_envelope_that_other_verifiers_accept(folder, key):
    public = SSlibKey.from_crypto(load_pem_public_key(key.public_pem().encode()))
    for line in envelopes(folder):
        assert line["payloadType"] == "application/vnd.in-toto+json"
        verify_by_hand(line, key.public_pem())
        Envelope.from_dict(json.loads(json.dumps(line))).verify([public], 1)


def test_a_changed_line_or_another_key_is_refused_by_other_verifiers(folder, key):
    line = envelopes(folder)[0]
    with pytest.raises(InvalidSignature):
        verify_by_hand(line, SigningKey.generate().public_pem())
    said = json.loads(base64.b64decode(line["payload"]))
    said["subject"][0]["name"] = "other"
    line["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
    public = SSlibKey.from_crypto(load_pem_public_key(key.public_pem().encode()))
    with pytest.raises(VerificationError):
        Envelope.from_dict(line).verify([public], 1)


def test_every_statement_is_valid_slsa_provenance(folder):
    for document in statements(folder):
        parsed = json_format.ParseDict(document, statement_pb2.Statement())
        Statement.copy_from_pb(parsed).validate()
        json_format.ParseDict(document["predicate"], provenance_pb2.Provenance())


def test_the_subjects_are_the_files_that_a_verifier_has(folder):
    found = {}
    for document in statements(folder):
        if document["predicate"]["buildDefinition"]["externalParameters"]["kind"] == "mopd":
            found = {each["name"]: each["digest"] for each in document["subject"]}
    written = {path.name for path in folder.iterdir()} - {
        "README.md",
        "openlineage.jsonl",
        "bom.cdx.json",
        BUNDLE,
    }
    for name in written:
        assert found[name] == {"sha256": hex_of(digest_file(folder / name))}
    assert {"model.safetensors", "config.json"} <= written
    # the folder's own digest is by an algorithm that nobody takes for a file's
    assert found["checkpoint"].keys() == {"provostTree1"}


def test_the_bundle_covers_the_whole_family_with_a_page_for_each_kind(folder):
    kinds = [
        document["predicate"]["buildDefinition"]["buildType"] for document in statements(folder)
    ]
    page = f"{REPOSITORY}/blob/HEAD/docs/derivations/"
    assert {kind.removeprefix(page) for kind in kinds} == {
        f"{kind}.md" for kind in ("base", "sft", "demonstrations", "rl", "release", "mopd")
    } | {"student.md", "plan.md"}


def test_a_base_from_the_hub_is_a_package_url(folder):
    bases = [
        dependency["uri"]
        for document in statements(folder)
        for dependency in document["predicate"]["buildDefinition"]["resolvedDependencies"]
        if dependency["name"] == "source model"
    ]
    assert bases == [f"pkg:huggingface/{HUB_BASE}"]


def recorded(store, **attested):
    derivation = Derivation(kind="mopd", inputs=(), source=SOURCE, settings={}, seed=0)
    output = store.put_bytes(b"w")
    attestation = Attestation(
        derivation=derivation.digest(), output=output, output_kind="metrics", **attested
    )
    made = made_of(Records(store), Records(store).write(derivation, attestation))
    return provenance(store, made, REPOSITORY)["predicate"]


def test_code_and_image_are_dependencies_with_uris(store):
    definition = recorded(store, commit=COMMIT, image=IMAGE)["buildDefinition"]
    found = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert found["commit"]["uri"] == f"git+{REPOSITORY}@{COMMIT}"
    assert found["commit"]["digest"] == {"gitCommit": COMMIT}
    assert found["image"]["digest"] == {"sha256": "c" * 64}
    where = "registry.example.org:5000/post/train"
    assert found["image"]["uri"] == f"pkg:oci/train@sha256%3A{'c' * 64}?repository_url={where}"
    assert found["source"]["digest"] == {"sha256": "a" * 64}


def test_an_image_without_a_digest_is_not_a_dependency(store):
    definition = recorded(store, image="train:v3")["buildDefinition"]
    assert [each["name"] for each in definition["resolvedDependencies"]] == ["source"]


def test_circumstances_are_internal_and_the_owner_is_not_the_builder(store):
    found = recorded(store, owner="team-math", attempt=2, packages={"torch": "2"}, execution="e1")
    assert found["buildDefinition"]["internalParameters"] == {
        "attempt": 2,
        "owner": "team-math",
        "packages": {"torch": "2"},
    }
    assert "team-math" not in found["runDetails"]["builder"]["id"]
    assert found["runDetails"]["metadata"]["invocationId"] == "e1"


def test_a_run_in_flyte_is_found_by_its_page_and_its_place_is_the_builder(store):
    run = {"project": "teacher-math", "domain": "production", "execution": "f1"}
    page = "https://flyte.example.org/console/f1"
    found = recorded(store, execution="f1", flyte=FlyteRun(**run, version="v7", url=page))
    details = found["runDetails"]
    assert details["builder"]["id"] == "flyte://flyte.example.org/teacher-math/production"
    assert details["metadata"]["invocationId"] == page
    assert found["buildDefinition"]["internalParameters"]["taskVersion"] == "v7"


def test_a_run_without_a_page_is_named_with_its_project(store):
    run = FlyteRun(project="p", domain="d", execution="f1")
    details = recorded(store, execution="f1", flyte=run, attempt=2)["runDetails"]
    assert details["metadata"]["invocationId"] == "p/d/f1/2"


def test_an_input_keeps_role_weight_and_record(store):
    base = write_record(store, b"base", kind="base")
    made = write_record(
        store, b"w", take("teacher", base, name="math", weight=0.5), kind="mopd", rate=0.1
    )
    said = provenance(store, made_of(Records(store), made[0]))["predicate"]
    teacher = said["buildDefinition"]["resolvedDependencies"][0]
    assert teacher["digest"] == {"sha256": hex_of(base[1])}
    assert teacher["annotations"] == {
        "role": "teacher",
        "name": "math",
        "weight": 0.5,
        "record": base[0],
    }
    assert said["runDetails"]["metadata"]["finishedOn"] == TIME


def test_a_record_without_an_output_has_no_statement(store):
    record, output = write_record(store, b"w")
    store.blobs.path(output).unlink()
    with pytest.raises(LineageError):
        made_of(Records(store), record)


def test_the_command_signs_with_ones_own_key(family, tmp_path):
    asked = ["student", "export", "student@1", str(tmp_path / "out")]
    assert CliRunner().invoke(main, asked).exit_code == 0
    for line in envelopes(tmp_path / "out"):
        verify_by_hand(line, own_key().public_pem())


def test_a_new_keys_public_half_is_pem_that_others_read(tmp_path):
    assert CliRunner().invoke(main, ["teacher", "keygen", str(tmp_path / "key")]).exit_code == 0
    private, public = (tmp_path / "key").read_text(), (tmp_path / "key.pub").read_text()
    assert SigningKey.from_pem(private).public_pem() == public
    load_pem_public_key(public.encode())


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://ann:token@git.example.org/a/b.git", "https://git.example.org/a/b"),
        ("git@git.example.org:a/b.git", "https://git.example.org/a/b"),
        ("ssh://git@git.example.org:22/a/b", "https://git.example.org/a/b"),
        ("http://localhost:3000/a/b", "http://localhost:3000/a/b"),
        ("/srv/git/b.git", ""),
        ("../b", ""),
        ("", ""),
    ],
)
def test_a_remote_becomes_an_address_without_secrets(remote, address):
    assert plain_repository(remote) == address
