"""The check of drawings: what only draws is taken as it is, everything else is refused."""

import pytest
from markupsafe import Markup

from tasks.reports.rendering import inline_svg

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
    ("drawing", "message"),
    [
        (SVG.format("<script>x</script>"), "<script>, which draws nothing"),
        (SVG.format("<foreignObject/>"), "<foreignObject>"),
        (SVG.format('<image href="#x"/>'), "<image>"),
        (SVG.format('<rect onload="x"/>'), "runs no code"),
        (SVG.format('<rect OnLoad="x"/>'), "runs no code"),
        (SVG.format('<a href="javascript:x"/>'), "leaves the page"),
        (SVG.format('<a src="data:text/html,x"/>'), "leaves the page"),
        (SVG.format("<rect mask=\"image-set('//example.org/a.png' 1x)\"/>"), "outside the page"),
        (SVG.format("<rect cursor=\"src('//example.org')\"/>"), "outside the page"),
        (SVG.format("<rect style=\"@import 'x'\"/>"), "outside the page"),
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
