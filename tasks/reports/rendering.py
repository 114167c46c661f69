"""HTML pages from Jinja templates. Every value is escaped and shows what it hides.

Model output is hostile text. Jinja escapes each value, a name that is missing is an error, and the
whole page is made visible: control characters show as their pictures, those that turn the
direction of text by name. A page runs no script and loads nothing; its policy forbids both.
"""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

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
