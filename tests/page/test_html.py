"""The page builder: what it is given as text stays text, and nothing leaves the page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.page.html import Html, element, escape, inline_svg, join

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}</svg>'


def test_markup_in_text_is_shown_and_not_obeyed():
    assert escape("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert element("p", {}, "<script>") == "<p>&lt;script&gt;</p>"


def test_markup_in_an_attribute_cannot_leave_it():
    assert element("p", {"class": '"><script>'}) == '<p class="&quot;&gt;&lt;script&gt;"></p>'


def test_html_is_escaped_once_only():
    inner = element("b", {}, "<")
    assert element("p", {}, inner, "<") == "<p><b>&lt;</b>&lt;</p>"
    assert escape(escape("<")) == "&lt;"


def test_joined_or_formatted_html_is_text_again_unless_joined_here():
    assert isinstance(join([Html("<br>"), "<"]), Html)
    assert join([Html("<br>"), "<"]) == "<br>&lt;"
    assert escape(f"{Html('<br>')}") == "&lt;br&gt;"  # an f-string makes a plain str


def test_characters_that_hide_or_turn_text_become_visible():
    assert escape("a\x00\x1b[31m\x7f") == "a\u2400\u241b[31m\u2421"
    assert escape("\u202eevil\u2066") == "[U+202E]evil[U+2066]"
    assert escape("line\n\tnext") == "line\n\tnext"
    assert escape("\ud800").encode() == "\ufffd".encode()


@given(st.text())
def test_no_text_escapes(text):
    safe = escape(text)
    assert not set(safe) & set("<>\"'")
    safe.encode()


@pytest.mark.parametrize(
    "attributes",
    [
        {"onclick": "x"},
        {"OnLoad": "x"},
        {"a b": "x"},
        {"x>": "x"},
        {"href": "https://example.org"},
        {"href": "javascript:x"},
        {"src": "data:text/html,x"},
        {"style": "background:url(http://example.org)"},
        {"style": "@import 'x'"},
        {"fill": "url(http://example.org#a)"},
        {"mask": "image-set('http://example.org/a.png' 1x)"},
        {"style": r"background:u\72l(http://example.org)"},
        {"style": "background:url/**/(http://example.org)"},
        {"cursor": "src('http://example.org')"},
    ],
)
def test_attributes_that_run_or_fetch_something_are_refused(attributes):
    with pytest.raises(ValueError, match=r"refused|leaves the page|outside the page"):
        element("a", attributes)


def test_words_that_only_look_like_style_are_left_alone():
    assert element("p", {"title": "@import"}, "@import") == '<p title="@import">@import</p>'


def test_a_plain_drawing_is_taken_as_it_is():
    drawing = SVG.format(
        '<a href="#x"><path d="M0 0" fill="url(#g)" transform="translate(1 2) rotate(3)"/></a>'
        "<style>a:not(b){fill:url( '#g' );stroke:rgb(1, 2, 3)}</style>"
        '<text aria-label="f(x) @ 95 %">score (95 %)</text>'
    )
    assert inline_svg(drawing) == drawing
    assert isinstance(inline_svg(drawing), Html)


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        (SVG.format("<script>x</script>"), "<script>, which draws nothing"),
        (SVG.format("<foreignObject/>"), "<foreignObject>"),
        (SVG.format('<image href="#x"/>'), "<image>"),
        (SVG.format('<rect onload="x"/>'), "runs no code"),
        (SVG.format('<a href="https://example.org"/>'), "leaves the page"),
        (
            SVG.format('<a xmlns:x="http://www.w3.org/1999/xlink" x:href="javascript:x"/>'),
            "leaves the page",
        ),
        (SVG.format("<style>@import 'x'</style>"), "outside the page"),
        (SVG.format("<style>a{fill:URL( 'http://x')}</style>"), "outside the page"),
        (SVG.format('<title><a title="&lt;/style&gt;"/></title>'), "only text"),
        (SVG.format("<?x ><meta http-equiv=refresh content=0;url=//example.org>?>"), "instruction"),
        ("<?xml version='1.0'?>" + SVG.format(""), "instruction"),
        (SVG.format('<rect fill="url(http://example.org#a)"/>'), "outside the page"),
        (SVG.format('<rect fill="url( &quot;//example.org#a&quot; )"/>'), "outside the page"),
        (SVG.format("<rect style=\"fill:image-set('//example.org/a' 1x)\"/>"), "outside the page"),
        (SVG.format(r"<style>a{fill:u\72l(//example.org)}</style>"), "outside the page"),
        (SVG.format("<style>a{fill:url/**/(//example.org)}</style>"), "outside the page"),
        (SVG.format("<style>a{fill:-webkit-image-set('//e' 1x)}</style>"), "outside the page"),
        (SVG.format("<![CDATA[<script>]]>"), "declaration or comment"),
        ('<!DOCTYPE svg [<!ENTITY a "a">]>' + SVG.format(""), "declaration or comment"),
        (SVG.format("<g>"), "not well-formed"),
        ("<div/>", "not an <svg>"),
        ("", "not well-formed"),
    ],
)
def test_a_drawing_that_does_more_than_draw_is_refused(drawing, message):
    with pytest.raises(ValueError, match=message):
        inline_svg(drawing)
