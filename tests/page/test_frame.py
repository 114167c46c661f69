"""A page in a frame says what it says, and nothing of it can leave the frame."""

from html.parser import HTMLParser

from tasks.page.document import document
from tasks.page.frame import framed
from tasks.page.html import element


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_a_page_is_one_sandboxed_frame_that_holds_it_whole():
    page = document("A & B", element("p", {}, '"</iframe><script>alert(1)</script>'))
    reader = Reader()
    reader.feed(framed("plan", page))
    [(tag, attributes)] = reader.tags
    assert tag == "iframe"
    assert attributes["sandbox"] == ""
    assert attributes["srcdoc"] == page
