"""A page of ours inside somebody else's: Flyte's Deck, whose template and ours must not meet."""

from tasks.page.html import Html, element

_STYLE = "border:0;width:100%;height:88vh"


def framed(title: str, page: str) -> Html:
    """Return a whole page in a frame of its own, with its own style and policy, and no script.

    Flyte does not escape what a Deck holds. Here the page is an escaped attribute, and what a
    browser makes of it is sandboxed.
    """
    return element(
        "iframe", {"title": title, "sandbox": "", "srcdoc": str(page), "style": _STYLE}, ""
    )
