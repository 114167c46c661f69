"""After a recall the demo goes on with what the team has released since, or says what to do."""

import importlib

import click
import pytest

from lineage.artifacts import Artifact
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tests.support.tiny_faculty import PACKAGE
from workflows.commands import demo


@pytest.fixture
def recalled(teachers, teams_on_path, monkeypatch):
    monkeypatch.setattr(demo, "TEAMS", ("shout", "whisper"))
    Registry(open_store()).recall("teacher.shout", 1, by="lead", reason="leak")
    module = importlib.import_module(f"{PACKAGE}.shout.workflow")
    return lambda: module.climb(seed=0)


def test_a_recalled_team_without_another_version_has_to_climb_anew(recalled):
    with pytest.raises(click.ClickException, match="--seed 1"):
        demo._is_finished("shout", recalled)


def test_a_version_released_since_takes_the_recalled_ones_place(recalled, capsys):
    registry = Registry(open_store())
    [entry] = registry.versions("teacher.whisper")
    release = Artifact(kind=entry.kind, digest=entry.digest, record=entry.record)
    registry.register("teacher.shout", release, owner="team-shout")
    registry.point("teacher.shout", "released", 2, by="lead")
    assert demo._is_finished("shout", recalled)
    assert "shout@2" in capsys.readouterr().err


def test_a_recalled_stage_of_no_team_ends_in_a_message(recalled):
    with pytest.raises(click.ClickException, match="recalled"):
        demo._is_finished("consolidation", recalled)
