"""Descriptions of a model's fields, from the strings below them in the source.

pydantic can do it (``use_attribute_docstrings``), but it looks at every loaded module for the
source, which loads all that flytekit leaves for later: pandas, and botocore behind it.
"""

import ast
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)


def documented(model: type[Model]) -> type[Model]:
    """Use the string below each field of a model as its description."""
    source = Path(str(sys.modules[model.__module__].__file__)).read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == model.__name__:
            for name, text in _below(node):
                model.model_fields[name].description = text
    return model


def _below(body: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield field.target.id, " ".join(below.value.value.split())
