"""A domain whose prompts are JSONL files beside its environment, from folder to worker."""

import json
import sys

import pytest

from tasks.rollout.json_lines import PromptError
from tasks.rollout.worker.bundle import BundleError, collect
from tasks.rollout.worker.client import EnvironmentWorker
from tests.support.refused import raised

ENVIRONMENT = """
from tasks.rollout.environment import Grade

class Echo:
    max_turns = 1

    def respond(self, prompt, turns):
        return None

    def grade(self, prompt, turns):
        return Grade(1.0 if turns[-1].content == prompt.task["word"] else 0.0)

ENVIRONMENT = Echo()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = tmp_path / "echo_team"
    (made / "prompts").mkdir(parents=True)
    (made / "__init__.py").touch()
    (made / "environment.py").write_text(ENVIRONMENT)
    for split in ("train", "validation", "evaluation"):
        rows = [
            {
                "id": f"{split}-{number}",
                "messages": [{"role": "user", "content": f"{split} {number}"}],
                "task": {"word": str(number)},
            }
            for number in range(4)
        ]
        write(made, split, rows)
    write(
        made,
        "demonstrations",
        [
            {
                "messages": [{"role": "user", "content": "one"}],
                "turns": [{"role": "assistant", "content": "1"}],
            }
        ],
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield made
    sys.modules.pop("echo_team", None)


def write(folder, name, rows):
    (folder / "prompts" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def test_prompts_in_files_travel_in_the_bundle_and_are_drawn_by_the_worker(folder, tmp_path):
    bundle = collect("echo_team", tmp_path / "bundle")
    with EnvironmentWorker(bundle, domain="echo") as worker:
        prompts = worker.prompts("evaluation", 3, seed=1)
        again = worker.prompts("evaluation", 3, seed=1)
        [shown] = worker.demonstrations(1, seed=1)
    assert prompts == again
    assert {prompt.id for prompt in prompts} < {f"evaluation-{number}" for number in range(4)}
    assert shown.turns[0].content == "1"


def test_a_malformed_line_is_refused_by_file_and_number(folder, tmp_path):
    with (folder / "prompts" / "train.jsonl").open("a") as file:
        file.write("{not json\n")
    with pytest.raises(PromptError, match=r"train\.jsonl.*line 5"):
        collect("echo_team", tmp_path / "bundle")


def test_a_missing_split_is_refused(folder, tmp_path):
    (folder / "prompts" / "evaluation.jsonl").unlink()
    with raised(BundleError, "missing-file", "evaluation.jsonl"):
        collect("echo_team", tmp_path / "bundle")


def test_asking_for_more_than_the_file_holds_says_so(folder, tmp_path):
    bundle = collect("echo_team", tmp_path / "bundle")
    with (
        EnvironmentWorker(bundle, domain="echo") as worker,
        pytest.raises(RuntimeError, match=r"train\.jsonl .*4 .*5 "),
    ):
        worker.prompts("train", 5, seed=0)


@pytest.mark.parametrize("place", [".", "prompts"])
@pytest.mark.parametrize("name", ["train", "demonstrations"])
def test_data_beside_a_generator_is_refused_as_it_would_not_be_read(folder, tmp_path, place, name):
    for split in ("train", "validation", "evaluation", "demonstrations"):
        file = folder / "prompts" / f"{split}.jsonl"
        file.rename(folder / place / file.name) if split == name else file.unlink()
    (folder / "prompts.py").write_text(
        "def prompts(split, count, seed): ...\ndef demonstrations(count, seed): ...\n"
    )
    with pytest.raises(BundleError) as caught:
        collect("echo_team", tmp_path / "bundle")
    assert str((folder / place / f"{name}.jsonl").resolve()) in str(caught.value)
    (folder / place / f"{name}.jsonl").unlink()
    assert (collect("echo_team", tmp_path / "bundle") / "prompts.py").is_file()
