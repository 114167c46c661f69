"""The release of a domain that the student's start teaches itself."""

import json

import pytest

from lineage.artifacts import Release, read_manifest
from lineage.registry.registry import Registry
from lineage.rules.evidence import BrokenRuleError
from tasks.platform.step_runner import StepRunner
from tasks.recipe.own_release import release_start
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.runs import SAMPLING, Climbed, Maker


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def make(runner):
    return Maker(runner)


def scored(make, climbed, checkpoint):
    """Return a scorecard that compares a checkpoint with itself in a climb's domain."""
    row = climbed.measured(checkpoint)
    name = climbed.name
    rows = [("method.fork_point", row, name), (f"teacher.{name}", row, name)]
    card = {name: {"teacher": {"mean": 0.5}}, "paired": {name: {"fork_point": {}}}}
    return make.part(
        "scorecard", json.dumps(card), "scorecard", climbed.owner, rows, sampling=SAMPLING
    )


def test_the_start_is_the_teacher_and_no_alias_says_that_it_was_released(runner, make):
    start = make.checkpoint(0)
    climbed = Climbed(make, start, "math")
    released = release_start(runner, start, climbed.domain, scored(make, climbed, start))
    manifest = read_manifest(runner.store, released.digest, Release)
    assert (manifest.kind, manifest.domain, manifest.owner) == ("self", "math", climbed.owner)
    assert manifest.checkpoint == manifest.fork_point == manifest.precursor == start
    assert manifest.sampling.max_new_tokens == SAMPLING["max_new_tokens"]
    assert Registry(runner.store).aliases("teacher.math") == {"candidate": 1}


def test_a_scorecard_of_another_start_and_data_of_another_domain_are_refused(runner, make):
    start = make.checkpoint(0)
    math, code = Climbed(make, start, "math", 1), Climbed(make, start, "code", 2)
    other = make.checkpoint(50)
    with pytest.raises(BrokenRuleError) as caught:
        release_start(runner, start, math.domain, scored(make, math, other))
    assert caught.value.rules == {"scorecard"}
    mixed = math.domain.model_copy(update={"train": code.domain.train})
    with pytest.raises(BrokenRuleError) as caught:
        release_start(runner, start, mixed, scored(make, math, start))
    assert {"domain", "owner"} <= caught.value.rules
    assert Registry(runner.store).names() == []


def test_a_reward_model_is_refused_as_start(runner, make):
    start = make.checkpoint(0)
    climbed = Climbed(make, start, "math")
    model = start.model_copy(update={"kind": "reward_model"})
    with refused("other-kind"):
        release_start(runner, model, climbed.domain, climbed.scorecard)
