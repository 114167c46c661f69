"""Inputs of two climbs are refused before anything is written; a recall in between as well."""

import itertools

import pytest

from lineage.errors import RecalledError
from lineage.registry.registry import Registry
from lineage.rules.evidence import BrokenRuleError
from tasks.platform.step_runner import StepRunner
from tasks.release import release as releasing
from tasks.release.checkpoints import register_checkpoint
from tests.support.mirrors import MemoryMirror
from tests.support.runs import Climbed, Maker

PARTS = ("environment", "train", "validation", "evaluation", "demonstrations", "sketches")
"""Parts of a domain."""
NUM_PARTS = len(PARTS) + 3
"""Those, the domain's settings, the ladder and the scorecard."""


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def climbs(runner):
    """Climbs of two teams, and a second climb of the first with data of its own."""
    make = Maker(runner)
    fork_point = make.checkpoint(0)
    return {
        "math": Climbed(make, fork_point, "math", 1),
        "code": Climbed(make, fork_point, "code", 2),
        "math again": Climbed(make, fork_point, "math", 3, label=" again"),
    }


def written(runner):
    return runner.records.all(), Registry(runner.store).names()


def test_the_ladder_of_another_team_with_ones_own_scorecard_is_refused(runner, climbs):
    """Finding C3: signed by team math, released, and verified."""
    before = written(runner)
    with pytest.raises(BrokenRuleError) as refused:
        climbs["math"].release(ladder=climbs["code"].ladder)
    assert {"owner", "domain", "scorecard"} <= refused.value.rules
    assert written(runner) == before


@pytest.mark.medium
@pytest.mark.parametrize("other", ["code", "math again"])
@pytest.mark.parametrize("most", [2, pytest.param(NUM_PARTS, marks=pytest.mark.slow)])
def test_any_mixture_of_two_climbs_is_refused_and_nothing_is_written(runner, climbs, other, most):
    """With at most ``most`` parts of the one climb among those of the other."""
    runs = (climbs["math"], climbs[other])
    before = written(runner)
    for chosen in itertools.product((0, 1), repeat=NUM_PARTS):
        if not 0 < min(sum(chosen), NUM_PARTS - sum(chosen)) <= most:
            continue
        settings, ladder, card, *rest = (runs[place] for place in chosen)
        own = {part: getattr(run.domain, part) for part, run in zip(PARTS, rest, strict=True)}
        domain = settings.domain.model_copy(update=own)
        if is_of_one_climb(domain, ladder, card, runs):
            continue
        with pytest.raises(BrokenRuleError):
            releasing.release_teacher(runner, ladder.ladder, domain, card.scorecard)
    assert written(runner) == before


def is_of_one_climb(domain, ladder, card, runs):
    """The settings of two climbs of one team may be equal; nothing else is."""
    return any((domain, ladder, card) == (run.domain, run, run) for run in runs)


def test_what_is_of_one_climb_is_released(climbs):
    assert {climbed.release().kind for climbed in climbs.values()} == {"release"}


def test_a_fork_point_that_was_recalled_while_the_team_climbed_ends_the_release(runner, climbs):
    start = climbs["math"].fork_point
    register_checkpoint(runner, "fork-point", start, "foundation")
    Registry(runner.store).recall("fork-point", 1, by="foundation", reason="leaked data")
    before = written(runner)
    with pytest.raises(RecalledError):
        climbs["math"].release()
    assert written(runner) == before
