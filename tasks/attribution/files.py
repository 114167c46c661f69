"""Files of a person in and out of the store: behaviours to ask about, the finished report."""

import shutil
from pathlib import Path

from lineage.artifacts import Artifact
from lineage.store import open_store
from tasks.attribution.document import Audit

DOCUMENT, PAGE = "audit.json", "report.html"


def copy_audit(audit: Artifact, folder: Path) -> Audit:
    """Copy a recorded audit's files into a folder, and return its document."""
    tree = open_store().tree(audit.digest)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (DOCUMENT, PAGE):
        shutil.copyfile(tree / name, folder / name)
    return Audit.model_validate_json((folder / DOCUMENT).read_text("utf-8"))
