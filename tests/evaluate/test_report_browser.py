"""The page in a real browser: nothing overflows, wide or narrow."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_example import example_report, example_rollout

from tasks.evaluate.report import render_report

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium"),
]

# A frame has the width of a phone where a window of the browser cannot. The page itself runs no
# script; the measuring page around it does.
MEASURE = """<!doctype html><body style="margin:0">
<iframe src="report.html" style="width:WIDTHpx;height:900px;border:0"></iframe><script>
const frame = document.querySelector("iframe");
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
  }) + "END";
};
</script>"""


def measure(folder: Path, page: str, width: int) -> dict:
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


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_nothing_is_wider_than_the_screen_or_its_box(tmp_path, width):
    measured = measure(tmp_path, render_report(example_report()), width)
    assert measured["width"] == width
    assert measured["scroll"] <= width
    assert measured["outside"] == []
    assert measured["text"] > 2_000


def test_an_endless_word_and_a_script_in_a_rollout_change_nothing(tmp_path):
    attack = "<script>document.title='changed'</script><img src=x onerror=\"document.title='x'\">"
    rollouts = (
        example_rollout("math", student="w" * 3_000),
        example_rollout("code", student=attack),
    )
    measured = measure(tmp_path, render_report(example_report(rollouts=rollouts)), 390)
    assert measured["scroll"] <= 390
    assert measured["outside"] == []
    assert measured["title"] == "Consolidation report"
