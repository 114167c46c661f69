"""What a process, or each rank of a launch, runs in ``test_mopd_processes``: one real round.

``python mopd_program.py FOLDER`` reads plan.json and settings.json there, with the store that the
environment names, and writes what the round returned.
"""

import os
import sys
from pathlib import Path

from tasks.contracts.handover import Plan
from tasks.mopd.round import distil_round
from tasks.mopd.settings import RoundSettings
from tasks.platform.step_runner import StepRunner
from tests.support.mirrors import MemoryMirror
from tests.support.states import save_states_often


def main(folder):
    # Every step puts a state away, and MLflow is shown nothing.
    save_states_often()
    plan = Plan.model_validate_json((folder / "plan.json").read_text())
    settings = RoundSettings.model_validate_json((folder / "settings.json").read_text())
    student = distil_round(StepRunner(mirror=MemoryMirror()), plan, settings, seed=3)
    rank = os.environ.get("RANK", "0")
    (folder / f"student-{rank}.json").write_text(student.model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
