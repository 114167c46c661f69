"""Draw a checkpoint's making as SVG, for a wide page and for a phone, and as an HTML page.

No script, no style attributes, nothing fetched: it works under the strictest content security
policy, which the page declares. Every string that came from people or models is escaped.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lineage.graph.nodes import Graph, Node
from lineage.view.edges import clean, curve, labels, share, tint, visible
from lineage.view.fold import Drawn, Line, fold, models_only, nearest, nearest_boxes
from lineage.view.layout import Placed, Sizes, place

STYLE = """
.lineage svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.lineage .narrow { display: none; }
@media (max-width: 700px) { .lineage .wide { display: none; } .lineage .narrow { display: block; } }
"""
"""Style sheet for the page that embeds ``figure``."""

_SIZES = Sizes()
_COLORS = {
    "base": ("#eceff1", "#607d8b"),
    "sft": ("#e3f2fd", "#1976d2"),
    "rl": ("#e8f5e9", "#388e3c"),
    "rung": ("#e8f5e9", "#388e3c"),
    "release": ("#fff8e1", "#f9a825"),
    "mopd": ("#f3e5f5", "#8e24aa"),
    "student": ("#f3e5f5", "#8e24aa"),
}
_OTHER = ("#fafafa", "#757575")
_RECALLED = "#d32f2f"
_MOST_ROWS = 2_000
"""Most records in the table of a page, which takes half a kilobyte for each."""
_FONT = "font-family=\"system-ui, 'Segoe UI', Roboto, Arial, sans-serif\""


def figure(graph: Graph) -> str:
    """Return both pictures in one <div>; the page's style needs ``STYLE`` to show one of them."""
    return (
        f'<div class="lineage"><div class="wide">{draw(graph)}</div>'
        f'<div class="narrow">{draw_narrow(graph)}</div></div>'
    )


def draw(graph: Graph) -> str:
    """Return the graph's models as an <svg> of boxes in layers, ladders folded."""
    boxes, lines, left = _to_draw(graph)
    pairs = [(line.parent, line.child) for line in lines]
    placed = place([box.id for box in boxes], pairs, _SIZES)
    drawn = list(zip(lines, placed.lines, strict=True))
    parts = [curve(line, route, _SIZES) for line, route in drawn]
    parts += [_box(box, placed, graph.focus) for box in boxes]
    parts += [
        _text(x, y, text, 11, "middle") for text, (x, y) in labels(drawn, _SIZES)
    ]  # last, so that no line strikes them out
    return _svg(placed.width, placed.height, parts, _summary(boxes), left)


def draw_narrow(graph: Graph) -> str:
    """Return the same for a screen of 390 pixels: one row a box, lines as rails at its left."""
    boxes, lines, left_out = _to_draw(graph)
    shares: dict[str, list[str]] = {}
    for line in lines:
        if share(line):
            shares.setdefault(line.child, []).append(share(line))
    ys, y = {}, 20
    for box in boxes:
        ys[box.id] = y
        y += 60 if box.id in shares else 44
    rails = _rails(lines, ys)
    left = 14 + 12 * (max(rails.values(), default=-1) + 1)
    parts = [_rail(line, ys, left, rails[line.parent]) for line in lines]
    for box in boxes:
        parts.append(_row(box, ys[box.id], left, graph.focus))
        if box.id in shares:
            text = "from " + ", ".join(shares[box.id])
            parts.append(_text(left + 14, ys[box.id] + 32, text, 11, "start", 46))
    return _svg(374, y, parts, _summary(boxes), left_out)


def _to_draw(graph: Graph) -> tuple[list[Drawn], list[Line], int]:
    """Return the boxes and lines of the nearest models, and how many models are left out."""
    models = models_only(graph)
    near = nearest_boxes(models)
    boxes, lines = fold(near)
    return boxes, lines, len(models.nodes) - len(near.nodes)


def _svg(width: float, height: float, parts: Sequence[str], summary: str, left_out: int = 0) -> str:
    if left_out:
        told = _text(14, height + 16, f"and {left_out:,} models further back", 13, "start", 60)
        height, parts = height + 28, [*parts, told]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" {_FONT}>'
        f"<title>{clean(summary)}</title>{''.join(parts)}</svg>"
    )


def _summary(boxes: Sequence[Drawn]) -> str:
    return "Lineage: " + ", ".join(box.node.label for box in boxes)


def _box(box: Drawn, placed: Placed, focus: str) -> str:
    x, y = placed.boxes[box.id]
    left, top = x - _SIZES.box_width / 2, y - _SIZES.box_height / 2
    fill, stroke = colors(box.node)
    width = 3 if box.id == focus else 1.5
    frame = f'width="{_SIZES.box_width}" height="{_SIZES.box_height}" rx="8" fill="{fill}"'
    behind = [
        f'<rect x="{left + d:.1f}" y="{top - d:.1f}" {frame} stroke="{stroke}"/>' for d in (8, 4)
    ]
    texts = [
        _text(x, top + 19 + 16 * number, line, 13 if number == 0 else 11, "middle")
        for number, line in enumerate(line for line in describe(box) if line)
    ]
    return (
        f"<g><title>{clean(tooltip(box))}</title>{''.join(behind if box.rungs else [])}"
        f'<rect x="{left:.1f}" y="{top:.1f}" {frame} stroke="{stroke}" stroke-width="{width}"/>'
        f"{''.join(texts)}</g>"
    )


def _row(box: Drawn, y: int, left: float, focus: str) -> str:
    fill, stroke = colors(box.node)
    width = 3 if box.id == focus else 1.5
    first, made, owner, score = describe(box)
    more = " · ".join(line for line in (made, score, owner) if line)
    return (
        f"<g><title>{clean(tooltip(box))}</title>"
        f'<circle cx="{left:.0f}" cy="{y}" r="6" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="{width}"/>{_text(left + 14, y, first, 14, "start", 34)}'
        f"{_text(left + 14, y + 16, more, 11, 'start', 46)}</g>"
    )


def describe(box: Drawn) -> list[str]:
    """Return the lines of a box: its title, how it was made, its owner, and its scores."""
    node = box.node
    made = "" if node.kind in {node.label, "base", "release", "student"} else node.kind
    if box.rungs:
        made = f"{len(box.rungs)} rungs, step {box.rungs[0].step} to {node.step}"
    elif node.step:
        made = f"{node.kind}, step {node.step}"
    state = node.status.upper() if node.status in {"recalled", "retired"} else ""
    score = f"score {node.score:.3f}" if node.score is not None else ""
    digest = node.output.removeprefix("sha256:")[:10]
    aliases = [alias for alias in node.aliases if alias != "candidate" or len(node.aliases) == 1]
    return [
        node.label,
        " · ".join(part for part in (state, *aliases, made) if part),
        node.owner,
        " · ".join(part for part in (score, digest) if part),
    ]


def tooltip(box: Drawn) -> str:
    """Return the tooltip of a box: everything known about it."""
    node = box.node
    rows = [node.label, f"kind {node.kind}", f"output {node.output}", f"record {node.record}"]
    rows += [f"owner {node.owner}"] if node.owner else []
    rows += [f"rung {rung.step}: {rung.output}" for rung in box.rungs]
    return "\n".join(rows)


def colors(node: Node) -> tuple[str, str]:
    """Return fill and outline by what made a node; a recalled one is outlined in red."""
    fill, stroke = _COLORS.get(node.kind, _OTHER)
    return fill, _RECALLED if node.status == "recalled" else stroke


def _rails(lines: Sequence[Line], ys: dict[str, int]) -> dict[str, int]:
    """Give each parent a rail that no other parent's lines use between the same rows."""
    last = {line.parent: 0 for line in lines}
    for line in lines:
        last[line.parent] = max(last[line.parent], ys[line.child])
    rails: dict[str, int] = {}
    free_from: list[int] = []
    for parent in sorted(last, key=lambda item: ys[item]):
        fits = [place for place, y in enumerate(free_from) if y <= ys[parent]]
        number = fits[0] if fits else len(free_from)
        free_from += [] if fits else [0]
        free_from[number] = last[parent]
        rails[parent] = number
    return rails


def _rail(line: Line, ys: dict[str, int], left: float, number: int) -> str:
    x = left - 12 * (number + 1)
    top, bottom = ys[line.parent], ys[line.child]
    path = f"M{left:.0f},{top} L{x:.0f},{top + 12} L{x:.0f},{bottom - 12} L{left:.0f},{bottom}"
    return f'<path d="{path}" fill="none" stroke="{tint(line)}" stroke-width="1.5"/>'


def _text(x: float, y: float, text: str, size: int, anchor: str, limit: int = 0) -> str:
    most = limit or (23 if size > 11 else 29)
    shown = text if len(text) <= most else text[: most - 1] + "…"
    weight = ' font-weight="600"' if size > 11 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="#263238"{weight} stroke="#fff" stroke-width="4" '
        f'paint-order="stroke">{clean(shown)}</text>'
    )


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
            nodes=nearest(graph, _MOST_ROWS).nodes,
            num_records=len(graph.nodes),
            num_models=sum(1 for node in graph.nodes if node.output_kind == "checkpoint"),
            colors=colors,
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
