"""A page as an outline: one element or text a line, so that a change reads as a diff."""

from html.parser import HTMLParser

_LONG = {"points", "d", "srcdoc"}
"""Attributes of many numbers, which a unit test checks, not an outline."""
_VOID = {"meta", "br"}


class _Outline(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.lines, self.depth, self.style = [], 0, False

    def handle_starttag(self, tag, attrs):
        shown = "".join(f' {name}="{"…" if name in _LONG else value}"' for name, value in attrs)
        self.lines.append(f"{' ' * self.depth}<{tag}{shown}>")
        self.depth += tag not in _VOID
        self.style = tag == "style"

    def handle_endtag(self, tag):
        self.depth -= 1
        self.style = False

    def handle_data(self, data):
        text = " ".join(data.split())
        if text and not self.style:
            self.lines.append(f"{' ' * self.depth}{text}")


def outline(page):
    """Return the elements and texts of a page, without its style sheet."""
    parser = _Outline()
    parser.feed(page)
    parser.close()
    return "\n".join(parser.lines) + "\n"
