"""An exported folder: transformers loads it, and huggingface_hub reads its card."""

import json

import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from lineage.artifacts import Artifact
from lineage.digest import canonical_json
from lineage.errors import LineageError, RecalledError, UnknownReferenceError
from lineage.export.folder import export
from lineage.export.subject import subject_of
from lineage.graph.graph import Lineage
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from lineage.trust.author import own_key
from tasks.model.files import load_model
from tests.support.exported_family import HUB_BASE, Family
from tests.support.making import checkpoint, release_of, write_record
from workflows.cli import main


def written(family, reference, folder):
    return export(subject_of(family.store, reference), folder, own_key())


def card_of(folder):
    return ModelCard.load(folder / "README.md")


def test_transformers_loads_the_folder_with_the_students_weights(family, tmp_path):
    folder = written(family, "student@released", tmp_path / "out").folder
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ours = load_model(family.store.tree(family.mopd[1]))
    for one, two in zip(model.parameters(), ours.parameters(), strict=True):
        assert torch.equal(one, two)
    assert tokenizer.chat_template


def test_the_card_follows_the_conventions_of_the_hub(family, tmp_path):
    data = card_of(written(family, "student@1", tmp_path / "out").folder).data.to_dict()
    assert data["base_model"] == HUB_BASE
    assert data["base_model_relation"] == "finetune"
    assert (data["library_name"], data["pipeline_tag"]) == ("transformers", "text-generation")
    # MIT of the base and of code, Apache-2.0 of math: the one that asks for more
    assert data["license"] == "apache-2.0"
    assert "license_name" not in data


def test_the_cards_results_are_the_models_own_by_domain(family, tmp_path):
    folder = written(family, "student@1", tmp_path / "out").folder
    found = {result.dataset_config: result for result in card_of(folder).data.eval_results}
    # fork point 0.4, teacher 0.5, student 0.6
    assert {domain: each.metric_value for domain, each in found.items()} == {
        "math": pytest.approx(0.6),
        "code": pytest.approx(0.6),
    }
    assert found["math"].metric_args["interval_95"] == [pytest.approx(0.55), pytest.approx(0.65)]
    assert found["math"].metric_args["prompts"] == 400
    teacher = written(family, "math@1", tmp_path / "teacher").folder
    values = [result.metric_value for result in card_of(teacher).data.eval_results]
    assert values == [pytest.approx(0.5)] * 2


def test_the_card_names_share_and_tokens_of_each_teacher(family, tmp_path):
    text = (written(family, "student@1", tmp_path / "out").folder / "README.md").read_text()
    # 300 and 100 of 400 tokens
    assert "| teacher.math@1 | math | math-team | Apache-2.0 | 1 | 300 | 75.0% |" in text
    assert "| teacher.code@1 | code | code-team | MIT | 1 | 100 | 25.0% |" in text
    assert "| image | not recorded |" in text


def test_a_checkpoint_without_a_name_is_exported_by_its_digest(family, tmp_path):
    folder = written(family, family.fork[1], tmp_path / "out").folder
    data = card_of(folder).data.to_dict()
    assert data["base_model_relation"] == "finetune"
    assert "model-index" not in data
    assert AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)


def test_a_base_from_elsewhere_is_not_listed_as_base_model(tmp_path):
    family = Family(open_store(), base={"files": {"config.json": "x"}})
    data = card_of(written(family, "student@1", tmp_path / "out").folder).data.to_dict()
    assert "base_model" not in data
    assert "base_model_relation" not in data


def test_what_is_written_by_others_makes_no_markup(tmp_path):
    family = Family(open_store(), licenses={"math": "<b>|x"})
    text = (written(family, "student@1", tmp_path / "out").folder / "README.md").read_text()
    assert "<b>" not in text.split("---", 2)[2]
    assert r"\<b\>\|x" in text


def test_a_folder_that_holds_something_is_left_alone(family, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(LineageError):
        written(family, "student@1", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing(family, tmp_path, monkeypatch):
    blob = family.store.blobs.path(family.mopd[1])
    subject = subject_of(family.store, "student@1")
    blob.unlink()
    with pytest.raises(LineageError):
        export(subject, tmp_path / "new" / "out", own_key())
    assert list((tmp_path / "new").iterdir()) == []


def test_a_recalled_version_is_not_exported_and_its_students_are_marked(family, tmp_path):
    Registry(family.store).recall("teacher.math", 1, by="lead", reason="leak")
    with pytest.raises(RecalledError):
        subject_of(family.store, "math@1")
    text = (written(family, "student@1", tmp_path / "out").folder / "README.md").read_text()
    assert "**Recalled ancestor**: teacher.math@1: leak" in text


def test_an_artifact_that_is_not_a_model_is_refused(family):
    with pytest.raises(UnknownReferenceError):
        subject_of(family.store, "student.nope")
    data = Lineage(family.store).find(family.data["math"][1])
    with pytest.raises(LineageError):
        subject_of(family.store, data)


@pytest.mark.parametrize(
    ("command", "reference", "code"),
    [
        ("student", "student@released", 0),
        ("teacher", "math@1", 0),
        ("lineage", "math@1", 0),
        ("student", "math@1", 1),
        ("teacher", "student@1", 1),
    ],
)
def test_each_command_exports_its_own_kind(family, tmp_path, command, reference, code):
    folder = tmp_path / "out"
    asked = [command, "export", reference, str(folder), "--json"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == code, result.output
    assert folder.exists() is (code == 0)
    if code == 0:
        told = json.loads(result.stdout)
        assert told["license"] == "apache-2.0"
        assert sorted(path.name for path in folder.iterdir()) == told["files"]


def test_weights_that_no_record_made_are_refused(store, tmp_path):
    weights = store.put_tree(checkpoint(tmp_path / "model"))
    manifest = release_of("math", checkpoint=weights).model_dump(mode="json")
    made = write_record(store, canonical_json(manifest), kind="release", output_kind="release")
    artifact = Artifact(kind="release", digest=made[1], record=made[0])
    Registry(store).register("teacher.math", artifact, owner="team")
    with pytest.raises(LineageError):
        export(subject_of(store, "math@1"), tmp_path / "out", own_key())
    assert not (tmp_path / "out").exists()
