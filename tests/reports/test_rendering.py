"""The rendering of pages: what a template gets as text stays text, and nothing leaves the page."""

import re
from html import unescape
from html.parser import HTMLParser

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reports.rendering import TEMPLATES, environment, framed, render, visible

ATTACK = '"><script>alert(1)</script>\N{RIGHT-TO-LEFT OVERRIDE}'
SOURCES = {file.name: file.read_text("utf-8") for file in TEMPLATES.glob("*.j2")}


def unmeasured(names):
    return render("gate_unmeasured.html.j2", title=names, names=names)


def test_markup_and_direction_characters_in_a_value_are_shown():
    page = unmeasured(ATTACK)
    assert "<script" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page
    assert unescape(page).count('"><script>alert(1)</script>[U+202E]') == 2  # title, text


@given(st.text())
def test_no_value_leaves_its_place(text):
    title = re.search(r"<title>(.*?)</title>", unmeasured(text), re.DOTALL)[1]
    assert unescape(title) == unescape(
        str(environment().from_string("{{ x }}").render(x=visible(text)))
    )
    assert not set(title) & set("<>\"'")
    title.encode()


def test_a_template_expression_in_a_value_is_text():
    assert "{{ 7 * 7 }}" in unmeasured("{{ 7 * 7 }}")


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("gate_unmeasured.html.j2", title="x")


def test_characters_that_hide_text_become_visible():
    assert visible("a\x00\x1b[31m\x7f") == "a\u2400\u241b[31m\u2421"
    assert visible("\u202eevil\u2066") == "[U+202E]evil[U+2066]"
    assert visible("line\n\tnext") == "line\n\tnext"
    assert visible("\ud800").encode() == "\ufffd".encode()


@pytest.mark.parametrize("name", SOURCES)
def test_a_template_trusts_no_value_and_fetches_nothing(name):
    text = SOURCES[name]
    assert not re.search(r"\|\s*safe\b|Markup|autoescape|<script|\son\w+=|@import|url\(", text)
    for attribute, value in re.findall(r"\b(href|src|srcdoc|action)=(\S+)", text):
        assert (attribute, value[:2]) == ("href", '"#')


@pytest.mark.parametrize("name", SOURCES)
def test_a_value_in_an_attribute_is_quoted_and_one_in_a_style_is_a_number(name):
    tags = re.findall(r"<[a-z][^>]*>", re.sub(r"{#.*?#}", "", SOURCES[name], flags=re.DOTALL))
    for tag in tags:
        for before in re.findall(r"(\S?){{", tag):
            assert before != "="  # attribute={{ value }} would end at a space
        for style in re.findall(r'style="([^"]*)', tag):
            for value in re.findall(r"{{(.*?)(?:}}|$)", style):
                assert "|fmt(" in value or ".percent(" in value


def test_style_sheets_load_nothing():
    for file in TEMPLATES.glob("*.css"):
        assert not re.search(r"@import|url\(|\\", file.read_text("utf-8"))


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_a_page_in_a_frame_is_one_sandboxed_frame_that_holds_it_whole():
    page = unmeasured('"</iframe><script>alert(1)</script>')
    reader = Reader()
    reader.feed(framed("plan", page))
    [(tag, attributes)] = reader.tags
    assert tag == "iframe"
    assert attributes["sandbox"] == ""
    assert attributes["srcdoc"] == page
