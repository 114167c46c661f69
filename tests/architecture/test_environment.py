"""Every variable that the product reads is on the page, and the page names no other."""

import re

from tests.support.project_files import ROOT

PAGE = ROOT / "docs" / "environment.md"
OWN = re.compile(r"\b(?:PROVOST|XDG)_[A-Z_]+\b")
PASSED_ON = {"PROVOST_SIGNING_KEY_FILE"}
"""Composed of another one's name."""


def test_the_page_names_the_variables_that_the_code_reads():
    code = "".join(
        path.read_text("utf-8")
        for folder in ("lineage", "tasks", "workflows", "images")
        for path in (ROOT / folder).rglob("*.py")
    )
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in OWN.findall(row.split("|")[1])}
    assert told == set(OWN.findall(code)) | PASSED_ON
