"""One self-contained HTML page about a checkpoint's making: the picture, and a table of all of it.

No script and no request to anywhere; the content security policy says so to the browser.
"""

import base64
import hashlib

from lineage.nodes import Graph, Node
from lineage.picture import STYLE, clean, colours, figure

_STYLE = (
    """
body { margin: 0; padding: 16px; color: #263238; background: #fff;
  font: 15px/1.5 system-ui, 'Segoe UI', Roboto, Arial, sans-serif; }
h1 { font-size: 20px; margin: 0 0 4px; overflow-wrap: anywhere; }
p { margin: 0 0 16px; color: #546e7a; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid #eceff1;
  vertical-align: top; }
code { font-size: 12px; }
summary { cursor: pointer; margin: 16px 0 8px; }
.recalled { color: #d32f2f; font-weight: 600; }
"""
    + STYLE
)


def page(graph: Graph, title: str) -> str:
    """Return the whole HTML document for ``graph``, of which ``title`` says what it is."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    models = sum(1 for node in graph.nodes if node.output_kind == "checkpoint")
    rows = "".join(_row(node) for node in graph.nodes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{clean(title)}: lineage</title><style>{_STYLE}</style></head><body>"
        f"<h1>{clean(title)}</h1>"
        f"<p>{len(graph.nodes)} records, {models} checkpoints. Lines go from what was made first "
        "to what was made of it; a stack of boxes is a ladder. Point at a box for its digests.</p>"
        f'<div class="scroll">{figure(graph)}</div>'
        f"<details><summary>All {len(graph.nodes)} records</summary>"
        '<div class="scroll"><table><tr><th>What</th><th>Kind</th><th>Step</th><th>Owner</th>'
        f"<th>State</th><th>Output</th><th>Record</th></tr>{rows}</table></div></details>"
        "</body></html>\n"
    )


def _row(node: Node) -> str:
    stroke = colours(node)[1]
    state = ", ".join(part for part in (node.status, *node.aliases) if part)
    marked = ' class="recalled"' if node.status == "recalled" else ""
    cells = [node.kind, str(node.step or ""), node.owner]
    digests = [node.output.removeprefix("sha256:")[:16], node.record.removeprefix("sha256:")[:16]]
    return (
        f'<tr><td><svg width="10" height="10"><circle cx="5" cy="5" r="5" fill="{stroke}"/></svg> '
        f"{clean(node.label)}</td>"
        + "".join(f"<td>{clean(cell)}</td>" for cell in cells)
        + f"<td{marked}>{clean(state)}</td>"
        + "".join(f"<td><code>{clean(digest)}</code></td>" for digest in digests)
        + "</tr>"
    )
