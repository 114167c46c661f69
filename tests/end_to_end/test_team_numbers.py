"""A team from a data file can climb from the fork point as it is written."""

import importlib
import json

import pytest

from lineage.store.store import open_store
from tasks.model.chat import ChatTokens
from tasks.model.files import load_tokenizer
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import resolve_checkpoint
from tasks.release.domain import collect_domain
from tasks.release.preflight import check_climb
from tasks.rollout.data_file import DataColumns
from tasks.rollout.settings import SamplingSettings
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_faculty import importable
from workflows.commands.starter_data import data_starter
from workflows.commands.starting import write_starter

WORKED = "Half of it, and once more, is it. #### {}"


@pytest.mark.medium
def test_the_limit_of_a_turn_is_measured_with_the_fork_points_tokenizer(fork_point, tmp_path):
    data = tmp_path / "sums.jsonl"
    rows = [{"question": f"{n} + 1", "answer": WORKED.format(n + 1)} for n in range(120)]
    data.write_text("\n".join(map(json.dumps, rows)))
    starter, _ = data_starter(data, "exact", DataColumns())
    (tmp_path / "teams" / "data_teams").mkdir(parents=True)
    (tmp_path / "teams" / "data_teams" / "__init__.py").touch()
    folder = tmp_path / "teams" / "data_teams" / "sums"
    write_starter(folder, starter, "sums", "data_teams.sums", None)
    with importable(tmp_path / "teams"):
        settings = importlib.import_module("data_teams.sums.settings")
        runner = StepRunner(open_store(), mirror=MemoryMirror())
        domain = collect_domain(runner, "data_teams.sums", settings.DOMAIN, 0)
    start = resolve_checkpoint(runner, "fork-point@released")
    chat = ChatTokens(load_tokenizer(runner.store.tree(start.digest)))
    longest = max(len(chat.answer(row["answer"])) for row in rows[99:])  # three digits
    found = settings.RL.sampling.max_new_tokens
    assert 1.25 * longest <= found < 1.25 * longest + 8
    check_climb(runner, start, domain, settings.RL.sampling, 3)
    with refused("turn-too-long", "'sums'", "(24)"):
        check_climb(runner, start, domain, SamplingSettings(), 3)
