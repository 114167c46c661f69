"""HTML that is safe by construction: whatever is not already ``Html`` is escaped.

Model output is hostile text. Every string on a page passes through ``escape``, because
``element`` calls it on each child and attribute that is a plain ``str``.
"""

import html
import re
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

VOID = ("meta", "br")

_SVG_TAGS = frozenset(
    "svg g path line polyline polygon rect circle ellipse text tspan title desc defs marker use "
    "symbol clipPath linearGradient radialGradient stop style a".split()
)
_TEXT_TAGS = ("title", "desc", "style")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_NO_STYLE = frozenset("title alt content id class role label href src srcdoc".split())
"""Attributes that no browser reads as CSS, as those that begin with ``aria-`` or ``data-``."""
_CALLS = frozenset(
    "rgb rgba hsl hsla calc var min max clamp translate translatex translatey rotate scale skewx "
    "skewy matrix not is where nth-child".split()
)
"""What a style may call: it computes or chooses, and loads nothing. ``url`` has a rule of its own.
"""
_CALL = re.compile(r"([\w-]*)\(\s*")
_OWN_PART = re.compile(r"(['\"]?)#[a-z0-9_-]+\1\s*\)", re.IGNORECASE)

# Control characters show as their pictures. Those that turn the direction of text around are
# named, as they could make a line read as what it is not.
_VISIBLE = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_VISIBLE[0x7F] = 0x2421
_TURNS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_NAMED = {code: f"[U+{code:04X}]" for code in _TURNS}
_LOST = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)  # lone surrogates have no UTF-8
_TRANSLATION: dict[int, int | str] = {**_VISIBLE, **_NAMED, **_LOST}


class Html(str):
    """Text that is HTML already, made by this module."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Return text as HTML that shows it and does nothing. ``Html`` is returned as it is."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(text.translate(_TRANSLATION), quote=True))


def element(tag: str, attributes: Mapping[str, str | float], *children: str) -> Html:
    """Return one element. Plain strings among children and attribute values are escaped.

    Refuses event handlers and any reference that leaves the page.
    """
    written = "".join(f" {_attribute(name, value)}" for name, value in attributes.items())
    if tag in VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def join(parts: Iterable[str]) -> Html:
    """Return the parts one after the other, each escaped unless it is ``Html``."""
    return Html("".join(escape(part) for part in parts))


def inline_svg(svg: str) -> Html:
    """Return a drawing made elsewhere as HTML, after checking that it only draws.

    Raises:
        ValueError: it is not a well-formed SVG, or holds a script, an event handler, an element
            that does not draw, or a reference that leaves the page.
    """
    # No document type, so no entity that grows without bound; and HTML ends an instruction at its
    # first '>', so that what XML takes for the rest of one would be markup.
    if "<!" in svg or "<?" in svg:
        raise ValueError(
            "the drawing holds a '<!' declaration or comment, or a '<?' instruction: write the "
            "<svg> alone"
        )
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"the drawing is not well-formed: {error}; check its escaping") from error
    if _local(root.tag) != "svg":
        raise ValueError(f"the drawing is a <{_local(root.tag)}>, not an <svg>")
    for node in root.iter():
        _check_node(node)
    return Html(svg)


def _check_node(node: ElementTree.Element) -> None:
    tag = _local(node.tag)
    if tag not in _SVG_TAGS:
        raise ValueError(f"the drawing holds <{tag}>, which draws nothing")
    if tag in _TEXT_TAGS and len(node):
        # A browser reads these as text or HTML: markup inside them could change its meaning.
        raise ValueError(f"the drawing's <{tag}> holds elements: only text may stand there")
    if tag == "style":
        _check_style("the drawing's style", node.text or "")
    for name, value in node.attrib.items():
        _attribute(_local(name), value)


def _attribute(name: str, value: str | float) -> str:
    if not _NAME.fullmatch(name) or name.lower().startswith("on"):
        raise ValueError(f"attribute {name!r} is refused: a page of ours runs no code")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if name.lower() in ("href", "src") and not text.startswith(("#", "data:image/")):
        raise ValueError(f"{name} {text!r} leaves the page: a report refers to nothing outside")
    if not name.lower().startswith(("aria-", "data-")) and name.lower() not in _NO_STYLE:
        _check_style(f"{name} {text!r}", text)
    return f'{name}="{escape(text)}"'


def _check_style(what: str, text: str) -> None:
    """Refuse CSS, or a value that may be CSS, that could load something from outside the page.

    An escape or a comment could hide what it calls, and an at-rule could import.
    """
    hidden = "\\" in text or "/*" in text or "@" in text
    for call in _CALL.finditer(text):
        name = call[1].lower()
        is_own = name == "url" and _OWN_PART.match(text, call.end())
        hidden = hidden or not (is_own or not name or name in _CALLS)
    if hidden:
        raise ValueError(f"{what} is refused: it could load something from outside the page")


def _local(name: str) -> str:
    return name.rpartition("}")[2]
