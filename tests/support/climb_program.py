"""What a process, or each rank of a launch, runs in ``test_mopd_processes``: one real climb.

``python climb_program.py FOLDER`` reads start.json, domain.json and settings.json there, with the
store that the environment names, and writes the ladder that the climb returned.
"""

import json
import os
import sys
from pathlib import Path

from lineage.artifacts import Artifact
from tasks.contracts.handover import Domain
from tasks.platform.step_runner import StepRunner
from tasks.rl.climb import climb
from tasks.rl.settings import RlSettings
from tests.support.mirrors import MemoryMirror


def main(folder):
    start = Artifact.model_validate_json((folder / "start.json").read_text())
    domain = Domain.model_validate_json((folder / "domain.json").read_text())
    settings = RlSettings.model_validate_json((folder / "settings.json").read_text())
    ladder = climb(StepRunner(mirror=MemoryMirror()), start, domain, settings, seed=7)
    rank = os.environ.get("RANK", "0")
    (folder / f"ladder-{rank}.json").write_text(json.dumps([r.model_dump() for r in ladder]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
