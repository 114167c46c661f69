"""A rank that ends, is silent or has other settings ends the run with a message, in time."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.ranks_silent import WAIT

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("silent", {"code-0": "lost-rank"}),
        ("ended", {"code-0": "lost-rank"}),
        ("absent", {"code-0": "lost-rank"}),
        ("differ", {"code-0": "ranks-differ", "code-1": "ranks-differ"}),
    ],
)
def test_no_rank_waits_forever_for_another(tmp_path, fault, codes):
    program = [str(ROOT / "tests/support/ranks_silent.py"), str(tmp_path), fault]
    shared = {"PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"}
    # Without a launcher, which would end the others as soon as one has ended.
    with subprocess.Popen(
        [sys.executable, "-c", _STORE], stdout=subprocess.PIPE, text=True
    ) as held:
        port = held.stdout.readline().strip()
        ranks = [
            subprocess.Popen(
                [sys.executable, *program],
                env=os.environ
                | shared
                | {"RANK": str(number), "MASTER_PORT": port}
                | {"TORCHELASTIC_USE_AGENT_STORE": "True"},
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in ((0,) if fault == "absent" else (0, 1))
        ]
        begin = time.monotonic()
        said = ranks[0].communicate(timeout=240)[1]
        assert time.monotonic() - begin < 60 + WAIT.total_seconds()
        for other in ranks[1:]:
            other.communicate(timeout=240)
        held.kill()
    assert ranks[0].returncode == 1, said
    assert {file.name: file.read_text() for file in tmp_path.glob("code-*")} == codes


_STORE = """
import time, torch.distributed as dist
store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
print(store.port, flush=True)
time.sleep(600)
"""
