"""The check of drawings: what only draws is taken as it is, everything else is refused."""

import pytest
from markupsafe import Markup

from tasks.reports.rendering import DrawingError, inline_svg
from tests.support.refused import raised

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}</svg>'


def test_a_plain_drawing_is_taken_as_it_is():
    drawing = SVG.format(
        '<a href="#x"><path d="M0 0" fill="url(#g)" transform="translate(1 2) rotate(3)"/></a>'
        "<style>a:not(b){fill:url( '#g' );stroke:rgb(1, 2, 3)}</style>"
        '<text aria-label="f(x) @ 95 %">score (95 %)</text>'
    )
    assert inline_svg(drawing) == drawing
    assert isinstance(inline_svg(drawing), Markup)


@pytest.mark.parametrize(
    ("drawing", "code"),
    [
        (SVG.format("<script>x</script>"), "other-element"),
        (SVG.format("<foreignObject/>"), "other-element"),
        (SVG.format('<image href="#x"/>'), "other-element"),
        (SVG.format('<rect onload="x"/>'), "active-attribute"),
        (SVG.format('<rect OnLoad="x"/>'), "active-attribute"),
        (SVG.format('<a href="javascript:x"/>'), "outer-reference"),
        (SVG.format('<a src="data:text/html,x"/>'), "outer-reference"),
        (SVG.format("<rect mask=\"image-set('//example.org/a.png' 1x)\"/>"), "outer-style"),
        (SVG.format("<rect cursor=\"src('//example.org')\"/>"), "outer-style"),
        (SVG.format("<rect style=\"@import 'x'\"/>"), "outer-style"),
        (SVG.format('<a href="https://example.org"/>'), "outer-reference"),
        (
            SVG.format('<a xmlns:x="http://www.w3.org/1999/xlink" x:href="javascript:x"/>'),
            "outer-reference",
        ),
        (SVG.format("<style>@import 'x'</style>"), "outer-style"),
        (SVG.format("<style>a{fill:URL( 'http://x')}</style>"), "outer-style"),
        (SVG.format('<title><a title="&lt;/style&gt;"/></title>'), "markup-in-text"),
        (
            SVG.format("<?x ><meta http-equiv=refresh content=0;url=//example.org>?>"),
            "not-plain-xml",
        ),
        ("<?xml version='1.0'?>" + SVG.format(""), "not-plain-xml"),
        (SVG.format('<rect fill="url(http://example.org#a)"/>'), "outer-style"),
        (SVG.format('<rect fill="url( &quot;//example.org#a&quot; )"/>'), "outer-style"),
        (SVG.format("<rect style=\"fill:image-set('//example.org/a' 1x)\"/>"), "outer-style"),
        (SVG.format(r"<style>a{fill:u\72l(//example.org)}</style>"), "outer-style"),
        (SVG.format("<style>a{fill:url/**/(//example.org)}</style>"), "outer-style"),
        (SVG.format("<style>a{fill:-webkit-image-set('//e' 1x)}</style>"), "outer-style"),
        (SVG.format("<![CDATA[<script>]]>"), "not-plain-xml"),
        ('<!DOCTYPE svg [<!ENTITY a "a">]>' + SVG.format(""), "not-plain-xml"),
        (SVG.format("<g>"), "not-well-formed"),
        ("<div/>", "no-svg"),
        ("", "not-well-formed"),
    ],
)
def test_a_drawing_that_does_more_than_draw_is_refused(drawing, code):
    with raised(DrawingError, code):
        inline_svg(drawing)
