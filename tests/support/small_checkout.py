"""A copy of this checkout in which everything is small: a demo by its commands takes a minute.

The models have ten thousand weights and train for two steps, so nothing learns. What is left behind
(records, versions, reports) is what the real commands leave.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.ordinary_user import copy_checkout

TEAMS = ("math", "code", "agent", "instruct")
SMALLER = {
    "tasks/model/settings.py": [
        (r"hidden_size: int = \d+", "hidden_size: int = 16"),
        (r"num_layers: int = \d+", "num_layers: int = 1"),
        (r"num_heads: int = \d+", "num_heads: int = 2"),
        (r"num_key_value_heads: int = \d+", "num_key_value_heads: int = 1"),
        (r"head_size: int = \d+", "head_size: int = 8"),
        (r"feed_forward_size: int = \d+", "feed_forward_size: int = 32"),
        # A student that is nearly uniform ends a round.
        (r"weight_deviation: float = [\d.]+", "weight_deviation: float = 0.3"),
    ],
    "tasks/sft/settings.py": [
        (r"num_documents: int = Field\(default=[\d_]+", "num_documents: int = Field(default=100"),
        (r"num_steps=\d+", "num_steps=2"),
    ],
    "tasks/contracts/handover.py": [
        (r"(num_train: int = Field\(default=)\d+", r"\g<1>32"),
        (r"(num_validation: int = Field\(default=)\d+", r"\g<1>8"),
        (r"(num_evaluation: int = Field\(default=)\d+", r"\g<1>8"),
        (r"(num_demonstrations: int = Field\(default=)\d+", r"\g<1>32"),
        # The gate would refuse teachers that have learned nothing.
        (r"(gate_prompts_per_domain: int = Field\(default=)\d+", r"\g<1>0"),
    ],
    "tasks/mopd/round_form.py": [
        (r"mopd_steps: int = \d+", "mopd_steps: int = 2"),
        # Of a smaller change rounding is a larger share than an audit takes.
        (r"learning_rate: float = 3e-4", "learning_rate: float = 3e-3"),
        (r"prompts_per_domain: int = \d+", "prompts_per_domain: int = 2"),
    ],
    "workflows/foundation.py": [(r"count=[\d_]+", "count=32")],
    **{
        file: [(r"\bnum_steps=\d+", "num_steps=2"), (r"\brung_every=\d+", "rung_every=1")]
        for file in (
            "workflows/commands/starter_numbers.py",
            *(f"workflows/teachers/{team}/settings.py" for team in TEAMS),
        )
    },
}
"""File -> (pattern, text) for each number that makes a demo take long."""
_REASON = "it has learned nothing, as intended"


class SmallCheckout:
    """A folder with the copy, and a home with what a demo leaves."""

    def __init__(self, folder: Path, home: Path) -> None:
        """Work in ``folder`` with the store and the key of ``home``."""
        self.folder, self.home = folder, home

    @classmethod
    def made(cls, place: Path) -> "SmallCheckout":
        """Copy the checkout below ``place`` and run what ``provost demo`` runs."""
        small = cls(copy_checkout(place), place / "home")
        for file, changes in SMALLER.items():
            path = small.folder / file
            text = path.read_text("utf-8")
            path.unlink()  # it may be a link to this checkout's own
            for pattern, new in changes:
                text, count = re.subn(pattern, new, text)
                assert count, f"{file} has no {pattern}"
            path.write_text(text, "utf-8")
        (small.folder / ".venv").symlink_to(sys.prefix)
        small.run("provost run foundation")
        for team in TEAMS:
            small.run(f"provost run teacher {team}")
            small.run(f"provost teacher promote {team}@1 --by test --reason '{_REASON}'")
        small.run("provost run consolidation")
        small.run(f"provost student promote student.general@1 --by test --reason '{_REASON}'")
        return small

    def copied(self, place: Path) -> "SmallCheckout":
        """Return a copy that may be changed; the key stays the same."""
        folder = shutil.copytree(self.folder, place / "checkout", symlinks=True)
        home = shutil.copytree(self.home, place / "home", symlinks=True)
        return SmallCheckout(folder, home)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a shell in which the environment is active."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.prefix, "bin")), os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder),
            "PROVOST_HOME": str(self.home),
        }

    def run(self, command: str) -> str:
        """Run a command that must succeed; return what it prints."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout
