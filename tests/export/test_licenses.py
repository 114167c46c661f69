"""What licenses of parts allow of the whole, worked out by hand from their texts."""

from pathlib import Path

import pytest

from lineage.errors import LicenseConflictError
from lineage.export.licenses import KNOWN, LicensedPart, license_of, resolve
from lineage.export.subject import subject_of
from lineage.store.store import open_store
from tasks.model.hub import stated_license
from tests.support.exported_family import Family
from tests.support.making import take, write_record


def of(*stated):
    return resolve([LicensedPart(f"part {place}", each) for place, each in enumerate(stated)])


@pytest.mark.parametrize(
    ("stated", "license_id", "name"),
    [
        (["MIT"], "mit", ""),
        (["Apache-2.0", "MIT"], "apache-2.0", ""),
        (["GPL-3.0-or-later", "Apache-2.0"], "gpl-3.0", ""),
        (["CC-BY-NC-4.0", "Apache-2.0"], "cc-by-nc-4.0", ""),
        (["CC-BY-NC-SA-4.0", "CC-BY-NC-4.0"], "cc-by-nc-sa-4.0", ""),
        (["gemma", "Apache-2.0"], "gemma", ""),
        (["gemma", "llama3.1"], "other", "gemma-and-llama3.1"),
        (["Acme internal"], "other", "acme-internal"),
        (["Apache-2.0", ""], "other", "not-recorded"),
        ([], "other", "not-recorded"),
    ],
)
def test_the_strictest_license_decides(stated, license_id, name):
    assert (of(*stated).id, of(*stated).name) == (license_id, name)


@pytest.mark.parametrize(
    "stated",
    [
        ["CC-BY-ND-4.0"],
        ["CC-BY-NC-ND-4.0", "MIT", ""],
        ["GPL-3.0", "EPL-2.0"],
        ["GPL-3.0", "CC-BY-NC-4.0"],
        ["CC-BY-SA-4.0", "gemma"],
    ],
)
def test_what_cannot_be_kept_together_is_refused(stated):
    with pytest.raises(LicenseConflictError):
        of(*stated)


def test_every_id_that_decides_is_one_of_the_hubs():
    assert {of(name).id for name in KNOWN if "-nd-" not in name} == {
        name for name in KNOWN if "-nd-" not in name
    }


def parts(family, reference="student@1"):
    return {
        part.what: part.stated for part in license_of(subject_of(family.store, reference)).parts
    }


def test_base_teachers_and_data_all_count(family):
    assert parts(family) == {
        "base org/tiny-base": "MIT",
        "demonstrations of math": "Apache-2.0",
        "demonstrations of code": "MIT",
        "teacher.math@1": "Apache-2.0",
        "teacher.code@1": "MIT",
    }
    assert "teacher.code@1" not in parts(family, "math@1")  # the shared data are math's too
    assert "demonstrations of code" in parts(family, "math@1")


def test_a_base_without_a_stated_license_leaves_the_whole_unresolved():
    family = Family(open_store(), base_license="")
    assert license_of(subject_of(family.store, "student@1")).name == "not-recorded"


def test_a_base_that_was_trained_from_scratch_has_the_license_of_its_data():
    family = Family(open_store(), base={"row_tokens": 64}, base_license="")
    assert license_of(subject_of(family.store, "student@1")).id == "apache-2.0"
    assert not [what for what in parts(family) if what.startswith("base")]


def distilled(family, data):
    """Return the digest of a checkpoint that the student was trained to on some data."""
    inputs = [take("start", family.mopd), take("data", data)]
    return family.model(7, *inputs, kind="sft")[1]


def test_answers_of_a_closed_model_count_with_their_declared_license(family):
    traces = write_record(
        family.store,
        b"18",
        kind="foreign_traces",
        output_kind="dataset",
        notes={"license": "CC-BY-ND-4.0"},
    )
    model = distilled(family, traces)
    with pytest.raises(LicenseConflictError, match="answers of a closed model"):
        license_of(subject_of(family.store, model))


def test_the_base_is_that_of_the_weights_and_a_samplers_base_counts_as_a_part(family):
    other = family.model(11, kind="base", source="org/other-base", notes={"license": "gemma"})
    sampled = write_record(
        family.store, b"[]", take("sampler", other), kind="sampling", output_kind="responses"
    )
    model = distilled(family, sampled)
    subject = subject_of(family.store, model)
    assert subject.hub_base == "org/tiny-base"
    assert parts(family, model)["base org/other-base"] == "gemma"
    assert license_of(subject).id == "gemma"


def test_one_teachers_terms_stop_the_student_and_not_the_other_teacher(tmp_path):
    family = Family(open_store())
    manifest = subject_of(family.store, "student@1")
    assert license_of(manifest).id == "apache-2.0"
    other = Family(open_store(str(tmp_path / "b")), licenses={"code": "CC-BY-ND-4.0"})
    with pytest.raises(LicenseConflictError):
        license_of(subject_of(other.store, "student@1"))


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("---\nlicense: mit\n---\n# A model\n", "mit"),
        ("---\nlicense: other\nlicense_name: acme\n---\n", "acme"),
        ("# no front matter\n", ""),
        ("---\nlicense: [a\n---\n", ""),
        ("---\n- a list\n---\n", ""),
        (None, ""),
    ],
)
def test_the_license_of_a_local_base_is_read_from_its_card(tmp_path, text, stated):
    if text is not None:
        (tmp_path / "README.md").write_text(text)
    assert stated_license(tmp_path) == stated


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("                 Apache License\n           Version 2.0, January 2004\n", "Apache-2.0"),
        ("MIT License\n\nCopyright (c) 2026 Acme\n", "MIT"),
        ("You may do with it as Acme tells you.\n", ""),
    ],
)
def test_without_a_card_the_license_file_of_a_base_is_read(tmp_path, text, stated):
    (tmp_path / "LICENSE").write_text(text)
    assert stated_license(tmp_path) == stated


def test_a_base_with_an_unknown_license_leaves_the_whole_unresolved():
    family = Family(open_store(), base_license="unknown")
    assert license_of(subject_of(family.store, "student@1")).name == "not-recorded"


def test_a_teacher_with_a_damaged_registry_entry_leaves_the_license_unresolved(family):
    entry = Path(family.store.uri) / "keys/projects/local/registry/teacher.code/versions/00000001"
    entry.chmod(0o644)
    entry.write_bytes(b"garbage")
    stated = parts(family)
    assert stated[f"release {family.releases['code'][1][7:19]}"] == ""
    assert license_of(subject_of(family.store, "student@1")).name == "not-recorded"
