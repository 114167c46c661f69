"""A student that a small main job made, as a folder for other people's tools."""

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM

from lineage.export.bom import FILE
from lineage.export.folder import export
from lineage.export.subject import subject_of
from lineage.store.store import open_store
from lineage.trust.author import own_key
from tests.support.tiny_faculty import TEAMS


def test_a_real_student_is_exported_whole(student, tmp_path):
    subject = subject_of(open_store(), "student@released")
    done = export(subject, tmp_path / "out", own_key())
    assert AutoModelForCausalLM.from_pretrained(done.folder, local_files_only=True)
    card = ModelCard.load(done.folder / "README.md").data
    # the teams of the example state the default, and the base was trained from scratch
    assert card.license == "apache-2.0"
    assert {result.dataset_config for result in card.eval_results} == set(TEAMS)
    bom = (done.folder / FILE).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None
