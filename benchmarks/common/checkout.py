"""The checkout that measures: where results lie, its commit, and whether it has changes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
DRAFTS = ROOT / "runs" / "drafts"
"""What a checkout with changes measures; git ignores it."""
_CODE = ("lineage", "tasks", "workflows", "benchmarks", ":!benchmarks/results")
"""What a figure comes from. A result file that is being written makes no tree dirty."""


def git(*arguments: str, root: Path = ROOT) -> str:
    """Return what a git command prints."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def is_clean(root: Path = ROOT) -> bool:
    """Return whether the code has no changes that are not committed, new files included."""
    return not git("status", "--porcelain", "--", *_CODE, root=root)


def kept_at(path: Path) -> Path:
    """Return where a file is written: a result of a checkout with changes is a draft."""
    path = path.absolute()
    if not path.is_relative_to(RESULTS) or is_clean():
        return path
    draft = DRAFTS / path.relative_to(RESULTS)
    sys.stderr.write(
        f"the checkout has changes, so this is the draft {draft} and no result: "
        "commit them and measure again\n"
    )
    return draft
