"""Tiny homes to break: a fork point and two released teachers, and a consolidation of them."""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.faults.rows import ROOT

TEACHERS = "shout@released,whisper@released"
_LIMIT_SECONDS = 600


@cache
def home_with_teachers() -> Path:
    """Return a home with two teachers, made once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    teams = folder / "teams"
    code = (
        "import sys; sys.path.insert(0, 'tests/end_to_end')\n"
        "import tiny_faculty as tiny\n"
        f"root = {str(teams)!r}\n"
        "for team in tiny.TEAMS: tiny.write_team(root, team)\n"
        f"with tiny.importable(root), tiny.home_at({str(folder / 'home')!r}):\n"
        "    tiny.make_fork_point()\n"
        "    for team in tiny.TEAMS: tiny.climb(f'{tiny.PACKAGE}.{team}')\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(folder / "home"), check=True
    )
    return folder / "home"


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a process that works in a home."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    dropped = {"PROVOST_STORE", "MLFLOW_TRACKING_URI"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | offline | {"PROVOST_HOME": str(home), "PYTHONPATH": str(ROOT)}


def consolidation(home: Path) -> subprocess.Popen[bytes]:
    """Start a consolidation of the two teachers."""
    words = ["run", "consolidation", "--preset", "smoke", "--teachers", TEACHERS]
    code = f"from workflows.cli import main; main({words!r})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> str:
    """Wait for a consolidation; return its last words where it failed, else ""."""
    _, errors = process.communicate(timeout=_LIMIT_SECONDS)
    return "" if process.returncode == 0 else errors.decode(errors="replace")[-500:]
