"""Episodes that do not fit into turn, template or positions are found before a climb trains."""

import io
import shutil
import tempfile
from pathlib import Path

import pytest

from lineage.artifacts import Artifact
from tasks.platform.progress import Reporter
from tasks.release.checkpoints import resolve_checkpoint
from tasks.release.preflight import check_climb
from tasks.rollout.settings import SamplingSettings
from tests.support.refusals import refusal
from tests.support.refused import refused
from tests.support.tiny_faculty import (
    PROMPTS,
    Contents,
    collected,
    kinds,
    teams_folder,
    write_team,
)

PACKAGE = "unfit_teams"
TEAM = f"{PACKAGE}.shout"


@pytest.fixture
def root(tmp_path):
    with teams_folder(tmp_path, PACKAGE) as folder:
        yield folder


@pytest.fixture
def said(monkeypatch):
    """Give what progress says."""
    stream = io.StringIO()
    monkeypatch.setattr("tasks.platform.progress._reporter", Reporter(None, stream))
    return stream


def test_demonstrations_longer_than_a_turn_are_refused_before_any_training(fork_point, root):
    prompts = PROMPTS.format(name="shout").replace(
        'prompt.task["word"]),))', 'prompt.task["word"] * 2),))'
    )
    write_team(root, "shout", package=PACKAGE, prompts=prompts)
    runner, domain = collected(TEAM)
    start = resolve_checkpoint(runner, "fork-point@released")
    with refused("turn-too-long", "8 of 8", "'shout'", "(4)"):
        check_climb(runner, start, domain, SamplingSettings(max_new_tokens=4), 4)
    # 8 letters are at most 8 tokens; an answer that is cut before its end token alone is whole
    check_climb(runner, start, domain, SamplingSettings(max_new_tokens=8), 4)
    # of a teacher that was trained elsewhere, they say nothing
    check_climb(runner, start, domain, SamplingSettings(max_new_tokens=4), 0)
    assert "have a turn of more than max_new_tokens (4)" in refusal("run", "teacher", TEAM)
    assert "sft" not in kinds(Contents.now().records)


def test_a_few_longer_demonstrations_are_a_warning(fork_point, root, said):
    prompts = PROMPTS.format(name="shout").replace(
        'prompt.task["word"]),))', '"abcdefgh" if seen_one(prompt) else "a"),))'
    )
    prompts += """

def seen_one(prompt, seen=[]):
    seen.append(prompt)
    return len(seen) == 1
"""
    write_team(root, "shout", package=PACKAGE, prompts=prompts)
    runner, domain = collected(TEAM)
    start = resolve_checkpoint(runner, "fork-point@released")
    check_climb(runner, start, domain, SamplingSettings(max_new_tokens=4), 4)
    assert "warning: 1 of 8 demonstrations of 'shout'" in said.getvalue()


def with_template(runner, start, template):
    """Return the start with another chat template."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(runner.store.tree(start.digest), folder, dirs_exist_ok=True)
        Path(folder).chmod(0o755)  # a tree of the store is read-only
        file = Path(folder, "chat_template.jinja")
        file.unlink()
        file.write_text(template)
        return Artifact(kind="checkpoint", digest=runner.store.put_tree(Path(folder)))


WITHOUT_TOOLS = {
    "message-lost": (
        "{% for m in messages %}{% if m.role != 'tool' %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "role-refused": (
        "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}"
        "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}


@pytest.mark.parametrize("code", WITHOUT_TOOLS)
def test_several_turns_on_a_template_without_tools_are_refused_before_any_training(
    fork_point, root, code
):
    write_team(root, "shout", package=PACKAGE)  # its demonstrations have no tool's answer
    runner, one_turn = collected(TEAM)
    file = root / PACKAGE / "shout" / "environment.py"
    file.write_text(file.read_text().replace("max_turns = 1", "max_turns = 2"))
    runner, two_turns = collected(TEAM)
    start = resolve_checkpoint(runner, "fork-point@released")
    sampling = SamplingSettings(max_new_tokens=4)
    check_climb(runner, start, two_turns, sampling, 4)
    changed = with_template(runner, start, WITHOUT_TOOLS[code])
    check_climb(runner, changed, one_turn, sampling, 4)
    for num_checkpoints in (4, 0):  # a climb, and a teacher that was trained elsewhere
        with refused(code, "tool"):
            check_climb(runner, changed, two_turns, sampling, num_checkpoints)


def test_turns_that_together_exceed_the_positions_are_a_warning(fork_point, root, said):
    write_team(root, "shout", package=PACKAGE)
    file = root / PACKAGE / "shout" / "environment.py"
    file.write_text(file.read_text().replace("max_turns = 1", "max_turns = 5"))
    runner, domain = collected(TEAM)
    start = resolve_checkpoint(runner, "fork-point@released")
    check_climb(runner, start, domain, SamplingSettings(max_new_tokens=4), 4)
    assert "warning" not in said.getvalue()
    check_climb(runner, start, domain, SamplingSettings(max_new_tokens=25), 4)
    # 5 turns of 25 leave 3 of the 128 positions to the prompt
    assert "the model has 128: an episode ends" in said.getvalue()
