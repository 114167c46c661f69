"""Flyte's launch form, as far as it decides what can be launched: defaults in, literals out.

From the console's source (v1.20.1) and from launches in it: each input is a field, filled with its
default as text; an empty map is a row without a key, which keeps Launch gray.
"""

import json

from flyteidl.core import literals_pb2, types_pb2


class NotLaunchableError(Exception):
    """Launch is gray: the form says why."""


def shown(literal, kind):
    """Return what a field shows of a value."""
    which = kind.WhichOneof("type")
    if which == "map_value_type":
        rows = literal.map.literals
        if not rows:
            raise NotLaunchableError("Value's key is invalid")
        return {key: shown(value, kind.map_value_type) for key, value in rows.items()}
    if which == "collection_type":
        items = literal.collection.literals
        return json.dumps([shown(item, kind.collection_type) for item in items])
    primitive = literal.scalar.primitive
    value = getattr(primitive, primitive.WhichOneof("value"))
    return value if isinstance(value, (bool, int, float)) and which == "simple" else str(value)


def sent(text, kind):
    """Return the literal that a field sends."""
    which = kind.WhichOneof("type")
    if which == "map_value_type":
        rows = {key: sent(value, kind.map_value_type) for key, value in text.items()}
        return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=rows))
    if which == "collection_type":
        items = [sent(item, kind.collection_type) for item in json.loads(text)]
        return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=items))
    if which == "enum_type":
        if text not in kind.enum_type.values:
            raise NotLaunchableError(f"{text!r} is none of the choices")
        field = "string_value"
    else:
        field = {
            types_pb2.INTEGER: "integer",
            types_pb2.FLOAT: "float_value",
            types_pb2.STRING: "string_value",
            types_pb2.BOOLEAN: "boolean",
        }[kind.simple]
    primitive = literals_pb2.Primitive(**{field: text})
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


def launched(launch_plan, **typed):
    """Return the inputs of an execution launched from a launch plan's form.

    Raises:
        NotLaunchableError: for a default that the form cannot send.
    """
    inputs = {}
    for name, parameter in launch_plan.spec.default_inputs.parameters.items():
        kind = parameter.var.type
        text = typed[name] if name in typed else shown(parameter.default, kind)
        inputs[name] = sent(text, kind)
    return literals_pb2.LiteralMap(literals=inputs)


def relaunched(inputs, launch_plan):
    """Return what an execution's form sends when nothing is changed."""
    kinds = {
        name: parameter.var.type
        for name, parameter in launch_plan.spec.default_inputs.parameters.items()
    }
    again = {
        name: sent(shown(literal, kinds[name]), kinds[name])
        for name, literal in inputs.literals.items()
    }
    return literals_pb2.LiteralMap(literals=again)
