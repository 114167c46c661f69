"""One self-contained HTML page about a checkpoint's making: the picture, and a table of all of it.

No script and no request to anywhere; the content security policy says so to the browser.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lineage.graph.nodes import Graph
from lineage.view.edges import visible
from lineage.view.picture import STYLE, colours, figure

_TEMPLATES = Path(__file__).with_name("templates")


def page(graph: Graph, title: str) -> str:
    """Return the whole HTML document for ``graph``, of which ``title`` says what it is."""
    style = (_TEMPLATES / "page.css").read_text("utf-8") + STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    written = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
            "form-action 'none'",
            style=Markup(style),
            picture=Markup(figure(graph)),
            nodes=graph.nodes,
            num_models=sum(1 for node in graph.nodes if node.output_kind == "checkpoint"),
            colours=colours,
        )
    )
    return visible(written)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
