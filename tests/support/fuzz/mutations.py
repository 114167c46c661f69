"""Hypothesis strategies that damage valid documents a little, so that many get past the first look.

Every draw is small: 10,000 documents are made in seconds, and a failure shrinks to few changes.
"""

import copy
import json
import re

from hypothesis import strategies as st

NASTY = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), float("-inf"), "", " ", "a", "A" * 600, "é\u0301", "\u202e",
    "\x1b[2J", "\x00", "\n", "\ud800", "../../etc/passwd", "/etc/passwd", "a/../b", "-rf", "$(id)",
    "NaN", "1e999", "9" * 5000, "sha256:" + "0" * 64, "sha256:" + "Z" * 64, "sha256:", "2026-11-21",
    "whenever",
    "2026-11-21T00:00:00", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", [], {}, [[]],
    [None], {"": None}, {"a": {"a": {"a": {}}}}, [1, "a", None, 2.5], ["x"] * 300,
]  # fmt: skip
"""What stands where something else belongs."""
NESTED = ["[" * 500 + "]" * 500, "[" * 100_000, '{"a":' * 2000 + "1" + "}" * 2000]
"""Deep JSON, as text."""


def _one(draw, choices):
    """Draw one of several, by number: a strategy made for each list would take most of the time."""
    return choices[draw(st.integers(0, len(choices) - 1))]


def mutated_json(*documents):
    """Return JSON texts, as bytes, of documents in which up to three places are changed."""
    return st.composite(_json)(documents)


def _json(draw, documents):
    document = copy.deepcopy(_one(draw, documents))
    for _ in range(_one(draw, [0, 1, 1, 1, 2, 3])):
        document = _changed(draw, document)
    text = json.dumps(document, ensure_ascii=_one(draw, [True, False]))
    if draw(st.integers(0, 19)) == 0:
        text = _deepened(draw, text)
    data = text.encode("utf-8", "surrogatepass")
    return _damaged(draw, data) if draw(st.integers(0, 9)) == 0 else data


def _changed(draw, document):
    place = _one(draw, list(_places(document)) or [None])
    if place is None:
        return _nasty(draw)
    parent, key = place
    what = _one(draw, ["replace", "replace", "replace", "delete", "add", "move"])
    if what == "replace":
        parent[key] = _nasty(draw)
    elif what == "delete":
        del parent[key]
    elif what == "add" and isinstance(parent, dict):
        parent[_one(draw, ["newer_field", "", "__class__", "a b"])] = _nasty(draw)
    elif what == "add":
        parent.append(copy.deepcopy(parent[key]))
    else:  # a value of one field in another
        other, name = _one(draw, list(_places(document)))
        parent[key] = copy.deepcopy(other[name])
    return document


def _nasty(draw):
    """Return a value that later changes may alter without altering the list."""
    return copy.deepcopy(_one(draw, NASTY))


def _places(value):
    """Yield (parent, key) of everything in a document."""
    if isinstance(value, dict):
        items = list(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, list) else []
    for key, item in items:
        yield value, key
        yield from _places(item)


def _deepened(draw, text):
    place = text.find(":") + 1 if ":" in text else 0
    return text[:place] + _one(draw, NESTED) + text[place:].partition(",")[2]


def _damaged(draw, data):
    """Return bytes with one run of them flipped, cut, doubled or put in."""
    start = draw(st.integers(0, max(0, len(data) - 1)))
    length = draw(st.integers(1, 8))
    put = _one(draw, [b"", data[start : start + length] * 2, b"\xff", b"\x00", b"{", b"]"])
    return data[:start] + put + data[start + length :]


def mutated_text(text, boundary, snippets):
    """Return texts, as bytes, with up to two snippets put in or parts taken out.

    Most changes respect the parts that ``boundary`` (a pattern) tells apart, so that many results
    still parse.
    """
    return st.composite(_text)(re.split(f"({boundary})", text), snippets)


def _text(draw, parts, snippets):
    parts = list(parts)
    for _ in range(_one(draw, [0, 1, 1, 1, 2])):
        place = draw(st.integers(0, len(parts) - 1))
        what = _one(draw, ["put", "put", "put", "put", "drop", "double", "cut"])
        if what == "put":
            parts.insert(place, _one(draw, snippets))
        elif what == "drop":
            parts[place] = ""
        elif what == "double":
            parts[place] *= 2
        else:
            parts[place] = parts[place][: draw(st.integers(0, 9))]
    data = "".join(parts).encode("utf-8", "surrogatepass")
    return _damaged(draw, data) if draw(st.integers(0, 19)) == 0 else data
