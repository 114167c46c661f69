"""A second run finds what is finished, and makes anew only what depends on a change."""

import importlib
import sys
from functools import partial

import pytest

from lineage.artifacts import Release, read_manifest
from lineage.records.record import Records
from lineage.registry.registry import Registry
from lineage.store.store import open_store
from tasks.platform.step_runner import Missing, find_finished
from tests.support.tiny_faculty import (
    ORDER,
    PACKAGE,
    TEAMS,
    Contents,
    climb,
    copy_home,
    home_at,
    importable,
    kinds,
    make_fork_point,
    write_team,
)
from workflows.consolidation.workflow import consolidate

pytestmark = pytest.mark.medium

SHOUT = f"{PACKAGE}.shout"


@pytest.fixture
def torch_is_tired(monkeypatch):
    """Fail whatever trains or samples."""
    import torch
    from torch.nn import functional

    def refuse(*_, **__):
        raise AssertionError("something was computed although all of it is finished")

    monkeypatch.setattr(torch.optim.AdamW, "step", refuse)
    monkeypatch.setattr(functional, "embedding", refuse)


def release_of(domain):
    store = open_store()
    return read_manifest(store, Registry(store).resolve(f"{domain}@released").digest, Release)


@pytest.mark.usefixtures("student", "torch_is_tired")
def test_a_finished_run_is_found_in_a_store_that_has_moved_and_nothing_is_trained():
    before = Contents.now()
    found = [find_finished(partial(climb, f"{PACKAGE}.{team}")) for team in TEAMS]
    merged = find_finished(partial(consolidate, **ORDER))
    assert Contents.now() == before
    registry = Registry(open_store())
    references = ORDER["teachers"]
    assert [a.digest for a in found] == [registry.resolve(name).digest for name in references]
    assert merged.student.digest == registry.resolve("student").digest
    assert merged.summary.startswith("student.general@1: ")


def test_an_unfinished_part_is_named_and_not_made(teachers):
    before = Contents.now().records
    missing = find_finished(partial(consolidate, **ORDER))
    assert isinstance(missing, Missing)
    assert missing.derivation.kind == "plan"
    assert Contents.now().records == before


@pytest.mark.slow
def test_another_seed_makes_data_and_checkpoints_anew_but_not_the_environment(teachers):
    before, old = Contents.now().records, release_of("shout")
    climb(SHOUT, seed=1)
    assert kinds(Contents.now().records - before) == {
        "prompts": 3,
        "demonstrations": 1,
        "sketch": 1,
        "sft": 1,
        "rung": 1,
        "rl": 1,
        "evaluation": 2,
        "scorecard": 1,
        "release": 1,
    }
    new = release_of("shout")
    assert new.environment.digest == old.environment.digest
    assert new.fork_point.digest == old.fork_point.digest
    assert new.checkpoint.digest != old.checkpoint.digest
    registry = Registry(open_store())
    assert [entry.version for entry in registry.versions("teacher.shout")] == [1, 2]
    assert registry.aliases("teacher.shout")["released"] == 2


@pytest.mark.slow
def test_another_learning_rate_of_the_climb_leaves_data_and_supervised_stage_alone(
    fork_point, tmp_path
):
    write_team(tmp_path, "shout", package="changing_teams")
    with importable(tmp_path):
        climb("changing_teams.shout")
        before = Contents.now().records
        settings = tmp_path / "changing_teams" / "shout" / "settings.py"
        settings.write_text(settings.read_text().replace("=1e-2", "=2e-2"))
        importlib.invalidate_caches()
        for part in ("settings", "workflow"):
            del sys.modules[f"changing_teams.shout.{part}"]
        missing = find_finished(partial(climb, "changing_teams.shout"))
        assert (missing.derivation.kind, Contents.now().records) == ("rl", before)
        climb("changing_teams.shout")
    made = kinds(Contents.now().records - before)
    # the fork point's evaluation is found
    assert made == {"rung": 1, "rl": 1, "evaluation": 1, "scorecard": 1, "release": 1}


@pytest.mark.slow
def test_a_lost_checkpoint_is_made_again_with_the_same_digest(fork_point, teams_on_path):
    climb(SHOUT)
    store, release = open_store(), release_of("shout")
    assert store.remove(release.precursor.digest, 0)
    before = Contents.now()
    climb(SHOUT)
    after = Contents.now()
    assert store.has(release.precursor.digest)
    assert after.records == before.records
    assert after.entries == before.entries
    [again] = after.attestations - before.attestations
    record = release.precursor.record.removeprefix("sha256:")
    assert again.startswith(f"projects/local/attestations/{record}/")
    assert not Records(store).nondeterministic(release.precursor.record)


def test_the_same_seed_in_another_home_gives_the_same_bytes(
    home_with_teachers, tracked_home, teams_on_path
):
    with home_at(home_with_teachers):
        before, first = Contents.now(), release_of("shout")
    made = make_fork_point()
    assert made.digest == first.fork_point.digest
    climb(SHOUT)
    second = release_of("shout")
    assert second.precursor.digest == first.precursor.digest
    assert [rung.checkpoint.digest for rung in second.ladder] == [
        rung.checkpoint.digest for rung in first.ladder
    ]
    assert second.scorecard.digest == first.scorecard.digest
    different = Contents.now().records - before.records
    assert kinds(different) in ({}, {"release": 1})


@pytest.mark.slow
def test_the_same_seed_in_another_home_gives_the_same_release(
    home_with_teachers, fork_point, teams_on_path
):
    with home_at(home_with_teachers):
        first = Registry(open_store()).resolve("shout@released")
    assert climb(SHOUT).digest == first.digest


def test_homes_do_not_mix(home_with_teachers, home):
    """Guards the tests above: what one home learns is not seen in the session's."""
    with home_at(home_with_teachers):
        before = Contents.now()
    copy_home(home_with_teachers, home)
    make_fork_point(seed=7, name="fork-point")
    with home_at(home_with_teachers):
        assert Contents.now() == before
