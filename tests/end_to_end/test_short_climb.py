"""Two steps of a climb whose environment runs programs, as ``.ci/unprivileged`` repeats them."""

import pytest

from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.support.tiny_faculty import climb, importable, write_team

RUNS_A_PROGRAM = """
from tasks.rollout.sandbox import Call, SandboxLimits, run_program
result = run_program("def f(x):\\n    return x + 1", [Call("f", (1,))], SandboxLimits())
said = turns[-1].content
return Grade(1.0 if result.outcomes[0].value == 2 and sum(map(ord, said)) % 2 else 0.0)
"""


@pytest.mark.medium
def test_a_climb_of_two_steps_is_released(fork_point, tmp_path):
    package = write_team(tmp_path / "teams", "adder", package="short_climb", grade=RUNS_A_PROGRAM)
    with importable(tmp_path / "teams"):
        release = climb(package)
    assert Registry(open_store()).resolve("adder@released").digest == release.digest
