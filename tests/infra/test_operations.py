"""docs/guides/operations.md, taken at its word: its commands exist, and its backup restores."""

import re
import shutil
import subprocess

import pytest

from lineage.artifacts import Artifact
from lineage.operations.verify import Verifier
from lineage.registry.registry import Registry
from lineage.store.store import FolderStore
from tests.support.making import write_record
from tests.support.manifests import ROOT

PAGE = ROOT / "docs" / "guides" / "operations.md"


def code_lines(page):
    """Return the lines of the page's code blocks without their comments."""
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].rstrip() for block in blocks for line in block.splitlines()]


@pytest.mark.skipif(not shutil.which("rsync"), reason="no rsync on this machine")
def test_the_backup_of_the_page_is_whole_and_restores(tmp_path):
    home, backup, restored = (tmp_path / name for name in ("home", "backup", "restored"))
    store = FolderStore(home / "store")
    record, output = write_record(store, b"report", output_kind="report")
    artifact = Artifact(kind="report", digest=output, record=record)
    Registry(store).register("base", artifact, owner="foundation")
    lines = [line for line in code_lines(PAGE) if line.startswith(("cd ", "rsync -a"))]
    copying, (restoring,) = lines[:4], [line for line in lines if line.endswith("NEW_HOME/")]
    assert [line.split()[0] for line in copying] == ["cd", "rsync", "rsync", "rsync"]
    for script in ("\n".join(copying), restoring):
        script = script.replace("BACKUP", str(backup)).replace("NEW_HOME", str(restored))
        subprocess.run(
            ["bash", "-euc", script],
            env={"PROVOST_HOME": str(home), "PATH": "/usr/bin:/bin"},
            check=True,
        )
    shutil.rmtree(home)
    found = Verifier(FolderStore(restored / "store"), lambda _: ("", "")).verify(record)
    assert found.passed
    assert (found.records, found.blobs) == (1, 1)
    assert Registry(FolderStore(restored / "store")).resolve("base@1").digest == output
