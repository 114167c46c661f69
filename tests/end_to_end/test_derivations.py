"""Each kind of record has its page and schema, and real records keep to it."""

import ast
import json

import jsonschema
import pytest

from lineage.export.openlineage import Events
from lineage.export.statement import provenance
from lineage.export.subject import subject_of
from lineage.records.record import Records
from lineage.store.store import open_store
from tests.support.project_files import ROOT
from workflows.commands.derivations import INPUT_FACET, KINDS, page_of, schema_of

PAGES = ROOT / "docs" / "derivations"


@pytest.mark.parametrize("kind", KINDS)
def test_the_written_page_and_schema_are_of_todays_code(kind):
    """Else `python -m workflows.commands.derivations docs/derivations` writes them again."""
    assert (PAGES / f"{kind}.md").read_text("utf-8") == page_of(kind)
    assert json.loads((PAGES / f"{kind}.schema.json").read_text("utf-8")) == schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema_of(kind))


@pytest.mark.medium
def test_the_input_facet_of_a_real_student_keeps_to_its_schema(student):
    store = open_store()
    written = json.loads((PAGES / "provost_input.schema.json").read_text("utf-8"))
    assert written == INPUT_FACET
    events = Events(store, "")
    for made in subject_of(store, "student@released").family:
        for event in events.of(made):
            for taken in event["inputs"]:
                jsonschema.validate(taken["inputFacets"]["provost_input"], INPUT_FACET)


def kinds_in_code():
    """Yield the kinds that the code writes down where it makes a derivation."""
    for file in [*(ROOT / "tasks").rglob("*.py"), *(ROOT / "lineage").rglob("*.py")]:
        tree = ast.parse(file.read_text("utf-8"))
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id == "Derivation":
                for word in call.keywords:
                    if word.arg == "kind":
                        yield from constants(word.value)


def constants(node):
    found = [node, *([node.body, node.orelse] if isinstance(node, ast.IfExp) else [])]
    return (each.value for each in found if isinstance(each, ast.Constant))


@pytest.mark.medium
def test_every_kind_in_the_code_has_a_page():
    written = set(kinds_in_code())
    assert {"mopd", "rung", "rl", "sft"} <= written
    assert written <= KINDS.keys()


def test_the_records_of_a_real_student_keep_to_their_schemas(student):
    store = open_store()
    seen = set()
    for made in subject_of(store, "student@released").family:
        parameters = provenance(store, made)["predicate"]["buildDefinition"]["externalParameters"]
        seen.add(parameters["kind"])
        jsonschema.validate(parameters, schema_of(parameters["kind"]))
    assert {"mopd", "student", "release", "rl", "sft", "base", "plan", "scorecard"} <= seen


def test_every_record_of_a_real_store_keeps_to_its_schema(student):
    records = Records(open_store())
    for digest in records.all():
        derivation = records.read(digest)
        said = {"kind": derivation.kind, "settings": derivation.settings, "seed": derivation.seed}
        jsonschema.validate(said, schema_of(derivation.kind))


def test_an_unknown_setting_is_refused():
    settings = {"domain": "math", "split": "train", "count": 3}
    parameters = {"kind": "prompts", "settings": settings, "seed": 0}
    jsonschema.validate(parameters, schema_of("prompts"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {**parameters, "settings": {**settings, "more": 1}}, schema_of("prompts")
        )
