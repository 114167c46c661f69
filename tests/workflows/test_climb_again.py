"""A request to climb again: taken as it was asked, and refused where it would be another climb."""

import click
import pytest

from lineage.errors import LineageError
from tasks.gate.refork import Refork, Trained
from tests.support.refused import raised
from workflows.commands.gate import inputs_of_request
from workflows.teachers.math import settings

START = "sha256:" + "a" * 64


def trained(kind, used):
    return Trained(kind=kind, record="", seed=7, settings=used.model_dump(mode="json"))


@pytest.fixture
def request_file(tmp_path):
    """Write a request to the math team, but for what is changed, and return its path."""

    def write(**changes):
        fields = {
            "teacher": "teacher.math@1",
            "domain": "math",
            "owner": "team-math",
            "reasons": ["[measured-misfit] too far"],
            "team": "math",
            "launch_plan": "workflows.teachers.math.workflow.climb",
            "inputs": {"fork_point": START, "seed": 7},
            "trained": [trained("sft", settings.SFT), trained("rl", settings.RL)],
        }
        path = tmp_path / "refork.json"
        path.write_text(Refork(**fields | changes).model_dump_json())
        return str(path)

    return write


def test_the_inputs_are_those_of_the_request(request_file, capsys):
    assert inputs_of_request("math", request_file()) == {"fork_point": START, "seed": 7}
    said = capsys.readouterr().out
    assert "teacher.math@1 of team-math needs to climb again" in said
    assert "[measured-misfit] too far" in said
    # A team's own kind of stage cannot be compared, and nothing on record says nothing.
    other = Trained(kind="preference", record="", seed=0, settings={"beta": 1})
    for stages in ([], [other]):
        assert inputs_of_request("math", request_file(trained=stages))["seed"] == 7


def test_another_teams_request_is_refused_by_both_names(request_file):
    with pytest.raises(click.ClickException, match=r"team-math .*'math'.*code"):
        inputs_of_request("code", request_file())


def test_every_changed_setting_is_named(request_file):
    stage = trained("rl", settings.RL)
    stage.settings["loop"]["num_steps"] = 40
    stage.settings["gone"] = True
    with pytest.raises(click.ClickException) as refused:
        inputs_of_request("math", request_file(trained=[trained("sft", settings.SFT), stage]))
    said = refused.value.message
    assert "rl loop.num_steps: 40 then, 80 now" in said
    assert "rl gone: True then, 'not there' now" in said
    assert said.count(" then, ") == 2
    assert f"provost run teacher math --fork-point {START} --seed 7" in said


@pytest.mark.parametrize("content", [b"{}", b"\xff", b"[]"])
def test_an_invalid_request_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with raised(LineageError, "not-a-request"):
        inputs_of_request("math", str(path))
    with pytest.raises(click.ClickException, match=r"nowhere\.json"):
        inputs_of_request("math", str(tmp_path / "nowhere.json"))
