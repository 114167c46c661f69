"""The bill of materials: valid by the official schema, and it says what the records say."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from lineage.digest import digest_file, hex_of
from lineage.export.bom import FILE
from lineage.export.folder import export
from lineage.export.licenses import SPDX
from lineage.export.subject import subject_of
from lineage.store.store import open_store
from lineage.trust.author import own_key
from tests.support.exported_family import HUB_BASE, Family

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def written(family, reference, folder):
    return export(subject_of(family.store, reference), folder, own_key()).folder


@pytest.fixture
def folder(family, tmp_path):
    return written(family, "student@1", tmp_path / "out")


@pytest.fixture
def bom(folder):
    return json.loads((folder / FILE).read_text())


@pytest.mark.parametrize("reference", ["student@1", "math@1", "checkpoint"])
def test_the_official_schema_accepts_it(family, tmp_path, reference):
    asked = family.fork[1] if reference == "checkpoint" else reference
    text = (written(family, asked, tmp_path / "out") / FILE).read_text()
    assert VALIDATOR.validate_str(text) is None


def test_the_real_schema_validates_the_bill_of_materials(bom):
    bom["components"][0]["type"] = "teacher"
    assert VALIDATOR.validate_str(json.dumps(bom)) is not None


def test_the_schema_accepts_licenses_that_spdx_does_not_know(tmp_path):
    family = Family(open_store(), licenses={"math": "Acme internal"})
    text = (written(family, "student@1", tmp_path / "out") / FILE).read_text()
    assert VALIDATOR.validate_str(text) is None


def test_every_spdx_identifier_is_one(bom):
    for name in SPDX.values():
        bom["metadata"]["component"]["licenses"] = [{"license": {"id": name}}]
        assert VALIDATOR.validate_str(json.dumps(bom)) is None, name


def test_each_file_has_its_hash(folder, bom):
    main = bom["metadata"]["component"]
    hashes = {each["name"]: each["hashes"][0]["content"] for each in main["components"]}
    assert hashes["model.safetensors"] == hex_of(digest_file(folder / "model.safetensors"))


def test_weights_descend_from_fork_point_and_base_and_not_from_teachers(family, bom):
    ancestors = bom["metadata"]["component"]["pedigree"]["ancestors"]
    assert [each["version"] for each in ancestors] == [family.fork[1], family.base[1]]
    assert ancestors[-1]["purl"] == f"pkg:huggingface/{HUB_BASE}"


def test_teachers_and_data_are_components_that_the_model_depends_on(family, bom):
    names = {each["name"]: each for each in bom["components"]}
    tokens = {
        name: {each["name"]: each["value"] for each in names[name]["properties"]}["provost:tokens"]
        for name in ("teacher.math", "teacher.code")
    }
    assert tokens == {"teacher.math": "300", "teacher.code": "100"}
    assert names["teacher.math"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert "demonstrations of math" in names
    [dependency] = bom["dependencies"]
    assert set(dependency["dependsOn"]) == {each["bom-ref"] for each in bom["components"]}


def test_the_model_card_has_scores_architecture_and_data(family, bom):
    card = bom["metadata"]["component"]["modelCard"]
    assert card["modelParameters"]["architectureFamily"] == "qwen3"
    assert card["modelParameters"]["modelArchitecture"] == "Qwen3ForCausalLM"
    data = {each["ref"] for each in card["modelParameters"]["datasets"]}
    assert data == {f"data:{family.data[domain][1]}" for domain in ("math", "code")}
    metrics = {
        each["slice"]: (each["value"], each["confidenceInterval"])
        for each in card["quantitativeAnalysis"]["performanceMetrics"]
    }
    interval = {"lowerBound": "0.55", "upperBound": "0.65"}
    assert metrics == {"math": ("0.6", interval), "code": ("0.6", interval)}


def test_the_same_records_give_the_same_document(family, tmp_path, bom):
    again = written(family, "student@1", tmp_path / "again")
    assert json.loads((again / FILE).read_text()) == bom
