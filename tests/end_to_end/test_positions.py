"""Episodes that do not fit into the student are found in the plan, before anything is trained."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lineage.artifacts import Artifact
from tasks.gate.plan import propose
from tasks.gate.positions import without_positions
from tasks.model.chat import ChatTokens
from tasks.model.files import load_tokenizer
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_prompts
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.worker.bundle import collect
from tests.support.refused import refused
from tests.support.tiny_faculty import TEAMS, importable, write_team
from workflows.cli import main

POSITIONS = 128
"""Of the tiny faculty's fork point."""
ASKED = [f"{team}@released" for team in TEAMS]


def longest_of(runner, plan, teacher):
    """Return the tokens of the longest prompt, counted one by one."""
    chat = ChatTokens(load_tokenizer(runner.store.tree(plan.student.digest)))
    splits = (teacher.train, teacher.validation, teacher.evaluation)
    prompts = [prompt for split in splits for prompt in stored_prompts(runner.store, split)]
    return max(len(chat.prompt([vars(m) for m in prompt.messages])) for prompt in prompts)


def found(runner, plan, max_new_tokens):
    notes = without_positions(runner, plan, SamplingSettings(max_new_tokens=max_new_tokens))
    return [(note.code, note.severity, note.subject) for note in notes]


def test_a_prompt_without_room_for_a_turn_is_a_finding_that_nothing_waives(teachers):
    runner = StepRunner()
    plan = propose(runner, ASKED, "fork-point@released")
    room = {t.reference: POSITIONS - longest_of(runner, plan, t) for t in plan.leads}
    assert found(runner, plan, min(room.values())) == []
    most = max(room.values())
    assert found(runner, plan, most + 1) == [
        ("prompt-too-long", "refusal", teacher.reference) for teacher in plan.leads
    ]


def test_a_dry_run_says_so_with_status_1(teachers):
    dry = ("run", "consolidation", "--teachers", ",".join(ASKED), "--dry-run", "--json")
    result = CliRunner().invoke(main, [*dry, "--max-new-tokens", str(POSITIONS)])
    assert result.exit_code == 1
    findings = json.loads(result.stdout)["findings"]
    codes = {each["subject"] for each in findings if each["code"] == "prompt-too-long"}
    assert codes == {f"teacher.{team}@1" for team in TEAMS}


@pytest.mark.parametrize("split", ["train", "validation", "evaluation"])
def test_a_long_prompt_of_any_split_is_found(teachers, split):
    runner = StepRunner()
    plan = propose(runner, ASKED, "fork-point@released")
    teacher, *others = plan.teachers
    row = {"id": "long", "messages": [{"role": "user", "content": "a b " * 200}]}
    data = runner.store.put_bytes((json.dumps(row) + "\n").encode())
    changed = teacher.model_copy(update={split: Artifact(kind="prompts", digest=data)})
    plan = plan.model_copy(update={"teachers": [changed, *others]})
    assert found(runner, plan, 4) == [("prompt-too-long", "refusal", teacher.reference)]


def test_turns_that_together_exceed_the_positions_are_a_warning(teachers, tmp_path):
    runner = StepRunner()
    plan = propose(runner, ASKED, "fork-point@released")
    teacher, *others = plan.teachers
    package = write_team(tmp_path, "shout", package="long_teams")
    file = tmp_path / "long_teams" / "shout" / "environment.py"
    file.write_text(file.read_text().replace("max_turns = 1", "max_turns = 3"))
    with importable(tmp_path):
        bundle = collect(package, tmp_path / "bundle", None)
    environment = Artifact(kind="environment", digest=runner.store.put_tree(Path(bundle)))
    changed = teacher.model_copy(update={"environment": environment})
    plan = plan.model_copy(update={"teachers": [changed, *others]})
    most = (POSITIONS - longest_of(runner, plan, teacher)) // 3
    assert found(runner, plan, most) == []
    assert found(runner, plan, most + 1) == [("episode-too-long", "warning", teacher.reference)]


def test_a_system_prompt_that_the_template_drops_is_refused_in_the_plan(teachers):
    runner = StepRunner()
    plan = propose(runner, ASKED, "fork-point@released")
    prompted = plan.teachers[0].model_copy(update={"system_prompt": "<|im_end|>"})
    plan = plan.model_copy(update={"teachers": [prompted]})
    with refused("control-token", "'shout'"):
        found(runner, plan, 4)
