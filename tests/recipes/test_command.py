"""`provost run recipe` and `provost recipe`, on the recipe that takes the fewest stages."""

import json

import jsonschema
import pytest
from click.testing import CliRunner

from benchmarks.recipes.evidence import Evidence, as_row, gather
from tasks.platform.step_runner import StepRunner
from tests.support.project_files import ROOT
from workflows.cli import main
from workflows.commands.recipe import systems
from workflows.commands.schemas import file_of

SYSTEM = "deepseek_r1_zero"


def called(*words):
    return CliRunner().invoke(main, words, catch_exceptions=False)


def document(command, *words):
    result = called(*command.split(), *words, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    schema = json.loads((ROOT / "docs" / "json" / file_of(command)).read_text())
    jsonschema.validate(found, schema)
    return found


@pytest.mark.medium
def test_a_recipe_runs_all_of_its_stages_and_is_compared(home, tmp_path):
    made = document("run recipe", SYSTEM, "--scale", "micro", "--seed", "1")
    assert (made["recipe"], made["scale"], made["seed"]) == (SYSTEM, "micro", 1)
    assert made["tokens_sampled"] > 0
    assert made["scores"].keys() == {"add", "sort", "form", "tool", "helpful", "safe"}
    assert document("recipe compare", "--scale", "micro")["cards"] == [made]
    page = tmp_path / "atlas.html"
    assert called("recipe", "compare", "--scale", "micro", "--html", str(page)).exit_code == 0
    assert systems()[SYSTEM][1] in page.read_text()
    kept = gather(StepRunner(), made["card"])  # what the benchmark commits
    assert list(kept.outcomes) == ["base", "zero"]
    assert kept.outcomes["zero"].keys() == made["scores"].keys()
    assert [step for step, _ in kept.series["zero"]["rl/reward"]] == [1, 2]
    row = json.loads(json.dumps(as_row(kept)))
    assert as_row(Evidence.model_validate(row)) == row
    assert "uri" not in json.dumps(row)  # where an artifact lies on this machine


def test_every_recipe_says_what_it_is_and_what_to_learn():
    assert SYSTEM in systems()
    assert [name for name, (title, lesson) in systems().items() if not title or not lesson] == []


@pytest.mark.parametrize(
    "words", [("run", "recipe", "nowhere"), ("recipe", "compare", "--scale", "published")]
)
def test_an_unknown_recipe_and_a_scale_without_cards_end_in_a_message(home, words):
    result = called(*words)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
