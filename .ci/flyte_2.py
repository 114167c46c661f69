"""Prints what Flyte 2 would ignore of the workflows, or not take, under its shim for Flyte 1.

It imports each workflow module with ``flyte_migrate``, in a process of its own. It informs: the
exit status is 0 whatever it finds.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    "workflows.foundation",
    "workflows.teachers.math.workflow",
    "workflows.consolidation.workflow",
    "workflows.gate",
    "workflows.audit",
)
IMPORT = "import sys, importlib; import flyte_migrate; importlib.import_module(sys.argv[1])"


def told(module: str, flavor: str) -> tuple[bool, list[str]]:
    """Return whether a module is imported under the shim, and what the shim says of it."""
    run = subprocess.run(
        [sys.executable, "-c", IMPORT, module],
        cwd=ROOT,
        env={**os.environ, "PROVOST_FLAVOR": flavor, "DO_NOT_TRACK": "1", "LOG_LEVEL": "30"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.strip() for line in run.stderr.splitlines() if line.strip()]
    said = [line for line in lines if "ignored" in line or "not supported" in line]
    return run.returncode == 0, said if run.returncode == 0 else [*said, *lines[-3:]]


def main() -> None:
    """Print a line for each module, and what the shim said of it below."""
    for flavor in ("", "cpu"):
        for module in MODULES:
            is_taken, said = told(module, flavor)
            how = "imported" if is_taken else "NOT TAKEN"
            sys.stdout.write(f"{module}, {flavor or 'no'} flavor: {how}\n")
            for line in dict.fromkeys(said):
                sys.stdout.write(f"  {line}\n")


if __name__ == "__main__":
    main()
