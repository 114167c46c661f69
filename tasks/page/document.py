"""A whole page: self-contained, without a script, under a policy that forbids everything else."""

from tasks.page.html import Html, element
from tasks.page.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, body: Html, more_style: str = "") -> str:
    """Return the HTML document around ``body``; ``more_style`` is added to the common style."""
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", {}, title),
        element("style", {}, Html(STYLE + more_style)),
    )
    page = element("html", {"lang": "en"}, head, element("body", {}, body))
    return f"<!doctype html>\n{page}\n"


def section(name: str, title: str, note: str, *content: str) -> Html:
    """Return one section of the page, with a heading that the navigation leads to."""
    heading = element("h2", {"id": f"{name}-title"}, title)
    parts = [heading, *([element("p", {"class": "note"}, note)] if note else []), *content]
    return element("section", {"id": name, "aria-labelledby": f"{name}-title"}, *parts)
