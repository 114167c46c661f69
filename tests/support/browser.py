"""Looks at a page in a real browser: its widths, and what the keyboard reaches."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium"),
]

# A frame has the width of a phone where a window of the browser cannot. The page itself runs no
# script; the measuring page around it does.
MEASURE = """<!doctype html><body style="margin:0">
<iframe src="report.html" style="width:WIDTHpx;height:900px;border:0"></iframe><script>
const frame = document.querySelector("iframe");
function unreached(page) {
  const wide = [...page.querySelectorAll(".scroll")].filter(each => each.tabIndex !== 0);
  const stops = [...page.querySelectorAll("a[href], summary, [tabindex]")].filter(each => {
    each.focus();
    return page.activeElement !== each || getComputedStyle(each).outlineStyle === "none";
  });
  return [...wide, ...stops].map(each => each.outerHTML.slice(0, 80));
}
frame.onload = () => {
  const inner = frame.contentDocument, found = [];
  inner.querySelectorAll("details").forEach(each => each.open = true);
  const texts = inner.createTreeWalker(inner.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode, parent = node.parentElement;
    if (!node.data.trim() || parent.closest(".scroll, nav, .lineage, .skip, svg")) continue;
    const box = parent.closest(".panel, .answer, figure, header, main"), range = new Range();
    range.selectNodeContents(node);
    const edge = box.getBoundingClientRect(), own = range.getBoundingClientRect();
    if (own.right > edge.right + 1 || own.left < edge.left - 1) found.push(node.data.trim());
  }
  const root = inner.documentElement;
  document.body.textContent = "RESULT" + JSON.stringify({
    width: root.clientWidth, scroll: root.scrollWidth, outside: found,
    text: inner.body.innerText.length, title: inner.title,
    unreached: unreached(inner), first: inner.querySelector("a, summary, [tabindex]").className,
  }) + "END";
};
</script>"""


def measure(folder: Path, page: str, width: int) -> dict:
    """Return what the browser finds of a page in a frame of this width.

    ``outside`` are texts beyond their box, ``unreached`` what a Tab would not reach or not show.
    """
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "measure.html").write_text(MEASURE.replace("WIDTH", str(width)), encoding="utf-8")
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --hide-scrollbars "
        "--allow-file-access-from-files --virtual-time-budget=5000 --window-size=1400,1000"
    ).split()
    command = [BROWSER, *quiet, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, (folder / "measure.html").as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = re.search(r"RESULT(.*)END", done.stdout, re.DOTALL)
    assert found, f"the page was not measured: {done.stdout[-500:]} {done.stderr[-500:]}"
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
