"""JSON schemas of the settings of records, put together from models and types."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, JsonValue, TypeAdapter

Schema = dict[str, JsonValue]
Defined = tuple[Schema, Schema]
"""A schema, and the definitions that it refers to."""

_REFERENCE = "#/$defs/{model}"


def fields_of(**types: object) -> Callable[[], Defined]:
    """Return the schema of an object with these fields and no others."""

    def schema() -> Defined:
        properties: Schema = {}
        definitions: Schema = {}
        for name, kind in types.items():
            properties[name], more = _of_type(kind)
            definitions |= more
        return closed(properties, sorted(types)), definitions

    return schema


def model_of(model: type[BaseModel], **types: object) -> Callable[[], Defined]:
    """Return the schema of a model's JSON, with more fields beside it."""

    def schema() -> Defined:
        found, definitions = _of_type(model)
        more, others = fields_of(**types)()
        properties = _object(found, "properties") | _object(more, "properties")
        # A record holds every setting, also at its default, but for those that came later.
        later = {name for name, field in model.model_fields.items() if field.exclude_if}
        return closed(properties, sorted(properties.keys() - later)), definitions | others

    return schema


def any_of(*several: Callable[[], Defined]) -> Callable[[], Defined]:
    """Return the schema of what one of several schemas describes."""

    def schema() -> Defined:
        found = [each() for each in several]
        definitions: Schema = {}
        for _, more in found:
            definitions |= more
        return {"anyOf": [each for each, _ in found]}, definitions

    return schema


def _of_type(kind: Any) -> Defined:  # noqa: ANN401 - whatever can annotate a field
    schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template=_REFERENCE)
    definitions = schema.pop("$defs", {})
    return schema, definitions


def _object(schema: Schema, name: str) -> Schema:
    found = schema[name]
    assert isinstance(found, dict)
    return found


def closed(properties: Schema, required: list[str]) -> Schema:
    """Return the schema of an object with these properties and no others."""
    names: list[JsonValue] = [*required]
    return {
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": False,
    }
