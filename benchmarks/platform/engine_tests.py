"""Runs the tests against real engines, vLLM and SeaweedFS, part by part: ``make test-engines``.

    python -m benchmarks.platform.engine_tests --vllm=.engines/vllm

``tests.support.vllm_environment`` makes the folder. The vLLM tests are one part, because they share
a server; each file with tests of SeaweedFS is another. The result goes into
``results/test_engines.json``, after each part, if the checkout has no uncommitted changes.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.checkout import RESULTS
from benchmarks.common.circumstances import facts
from benchmarks.common.results import write_whole
from benchmarks.platform.all_tests import (
    Part,
    files_with,
    is_clean,
    line,
    run,
    summary,
    tree,
)

FILE = RESULTS / "test_engines.json"
ENGINE = "engine and not gpu and not cluster"
_VLLM, _VLLM_MINUTES = "tests/engines/vllm", 45.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts, one after another; return 1 if one of them did not pass."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--vllm", type=Path, default=Path(".engines/vllm"), help="the folder of vLLM's environment"
    )
    folder = parser.parse_args(arguments).vllm.absolute()
    circumstances, clean, rows = facts(), is_clean(), []
    for part in parts(folder):
        sys.stdout.write(f"{part.name} ...\n")
        sys.stdout.flush()
        rows.append(run(part))
        sys.stdout.write(line(rows[-1]) + "\n")
        if clean:
            content = {"circumstances": circumstances, "tree": tree(), **summary(rows)}
            write_whole(FILE, content)
    return 0 if summary(rows)["outcome"] == "passed" else 1


def parts(folder: Path) -> list[Part]:
    """Return the vLLM tests, with its environment in ``folder``, and each file of the others."""
    marked = ("-m", ENGINE)
    others = [name for name in files_with(ENGINE) if not name.startswith(f"{_VLLM}/")]
    served = Part("vllm", (_VLLM, *marked, f"--vllm={folder}"), _VLLM_MINUTES)
    return [served, *(Part(name, (name, *marked)) for name in others)]


if __name__ == "__main__":
    raise SystemExit(main())
