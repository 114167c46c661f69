"""Base of all stored documents: frozen, strict, and readable under the names of older versions."""

from collections.abc import Container, Mapping

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator

NOW = {
    "behaviours": "behaviors",
    "licence": "license",
    "normalisation": "normalization",
    "normalised": "normalized",
    "release_least_normalised": "release_least_normalized",
}
"""The present name of each field, role or kind of record that was renamed."""


def respelled(data: object) -> object:
    """Return the fields of a stored document under their present names, one level deep."""
    if not isinstance(data, (dict, Mapping)) or NOW.keys().isdisjoint(data):  # dict first: fast
        return data
    return {NOW.get(name, name): value for name, value in data.items()}


def without(data: object, retired: Container[str]) -> object:
    """Return the fields of a stored document without those of an older version."""
    if not isinstance(data, Mapping):
        return data
    return {name: value for name, value in data.items() if name not in retired}


def respelled_deep(value: JsonValue) -> JsonValue:
    """Return JSON with every field under its present name, at any depth."""
    if isinstance(value, list):
        return [respelled_deep(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {NOW.get(name, name): respelled_deep(item) for name, item in value.items()}


class Frozen(BaseModel):
    """An immutable value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _with_present_names(cls, data: object) -> object:
        return respelled(data)
