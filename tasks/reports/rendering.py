"""HTML pages from Jinja templates. Every value is escaped and shows what it hides.

Model output is hostile text. Jinja escapes each value, a name that is missing is an error, and the
whole page is made visible: control characters show as their pictures, those that turn the
direction of text by name. A page runs no script and loads nothing; its policy forbids both. A
drawing that was made elsewhere is checked before it goes into a page.
"""

import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lineage.errors import CodedError

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
TEMPLATES = Path(__file__).with_name("templates")

# A line could read as what it is not where a character turns the direction of text around.
_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES[0x7F] = 0x2421
_TURNS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_NAMED = {code: f"[U+{code:04X}]" for code in _TURNS}
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)  # a lone one has no UTF-8
_VISIBLE: dict[int, int | str] = {**_PICTURES, **_NAMED, **_SURROGATES}


def render(template: str, **values: object) -> str:
    """Return the page or fragment of a template.

    Args:
        template: Name of a file in ``templates``, such as "plan.html.j2".
        values: The names that the template uses. Plain strings are escaped.

    Raises:
        jinja2.UndefinedError: for a name that is missing in ``values``.
    """
    return visible(environment().get_template(template).render(values))


def visible(text: str) -> str:
    """Return text with its control and direction characters replaced by what names them."""
    return text.translate(_VISIBLE)


def framed(title: str, page: str) -> Markup:
    """Return a whole page in a frame of its own, with its own style and policy, and no script.

    Flyte does not escape what a Deck holds. Here the page is an escaped attribute, and what a
    browser makes of it is sandboxed.
    """
    style = "border:0;width:100%;height:88vh"
    frame = Markup('<iframe title="{}" sandbox="" srcdoc="{}" style="{}"></iframe>')
    return frame.format(visible(title), visible(page), style)


@cache
def environment() -> Environment:
    """Return the environment of all templates."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["policy"] = POLICY
    found.filters["fmt"] = format
    return found


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


class DrawingError(CodedError, ValueError):
    """A drawing that does more than draw."""


def inline_svg(svg: str) -> Markup:
    """Return a drawing as HTML, after checking that it only draws.

    Raises:
        DrawingError: it is not a well-formed SVG, or holds a script, an event handler, an element
            that does not draw, or a reference that leaves the page.
    """
    # No document type, so no entity that grows without bound; and HTML ends an instruction at its
    # first '>', so that what XML takes for the rest of one would be markup.
    if "<!" in svg or "<?" in svg:
        raise DrawingError(
            "not-plain-xml",
            "the drawing holds a '<!' declaration or comment, or a '<?' instruction: write the "
            "<svg> alone",
        )
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise DrawingError(
            "not-well-formed", f"the drawing is not well-formed: {error}; check its escaping"
        ) from error
    if _local(root.tag) != "svg":
        raise DrawingError("no-svg", f"the drawing is a <{_local(root.tag)}>, not an <svg>")
    for node in root.iter():
        _check_node(node)
    return Markup(svg)


def _check_node(node: ElementTree.Element) -> None:
    tag = _local(node.tag)
    if tag not in _SVG_TAGS:
        raise DrawingError("other-element", f"the drawing holds <{tag}>, which draws nothing")
    if tag in _TEXT_TAGS and len(node):
        # A browser reads these as text or HTML: markup inside them could change its meaning.
        raise DrawingError(
            "markup-in-text", f"the drawing's <{tag}> holds elements: only text may be there"
        )
    if tag == "style":
        _check_style("the drawing's style", node.text or "")
    for name, value in node.attrib.items():
        _check_attribute(_local(name), value)


def _check_attribute(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or name.lower().startswith("on"):
        raise DrawingError(
            "active-attribute", f"attribute {name!r} is refused: a page of ours runs no code"
        )
    if name.lower() in ("href", "src") and not value.startswith(("#", "data:image/")):
        raise DrawingError(
            "outer-reference",
            f"{name} {value!r} leaves the page: a report refers to nothing outside",
        )
    if not name.lower().startswith(("aria-", "data-")) and name.lower() not in _NO_STYLE:
        _check_style(f"{name} {value!r}", value)


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
        raise DrawingError(
            "outer-style", f"{what} is refused: it could load something from outside the page"
        )


def _local(name: str) -> str:
    return name.rpartition("}")[2]
