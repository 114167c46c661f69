"""Inputs of two climbs are refused before anything is written; a recall in between as well."""

import itertools

import pytest

from lineage.errors import RecalledError
from lineage.registry import Registry
from lineage.rules.evidence import BrokenRuleError
from tasks import publication
from tasks.release import release as releasing
from tasks.step import Bench
from tests.support.mirrors import MemoryMirror
from tests.support.runs import Climbed, Maker


@pytest.fixture
def bench(home, monkeypatch):
    monkeypatch.setattr(publication, "mirror_entry", lambda *_: True)
    return Bench(mirror=MemoryMirror())


@pytest.fixture
def climbs(bench, tmp_path):
    """Climbs of two teams, and a second climb of the first with data of its own."""
    make = Maker(bench, tmp_path)
    fork_point = make.checkpoint(0)
    return {
        "math": Climbed(make, fork_point, "math", 1),
        "code": Climbed(make, fork_point, "code", 2),
        "math again": Climbed(make, fork_point, "math", 3, label=" again"),
    }


def written(bench):
    return bench.records.all(), Registry(bench.store).names()


def test_the_ladder_of_another_team_with_ones_own_scorecard_is_refused(bench, climbs):
    """Finding C3: signed by team math, released, and verified."""
    before = written(bench)
    with pytest.raises(BrokenRuleError) as refused:
        climbs["math"].release(ladder=climbs["code"].ladder)
    assert {"owner", "domain", "scorecard"} <= refused.value.rules
    assert written(bench) == before


@pytest.mark.parametrize("other", ["code", "math again"])
def test_any_mixture_of_two_climbs_is_refused_and_nothing_is_written(bench, climbs, other):
    runs = (climbs["math"], climbs[other])
    parts = ("environment", "train", "validation", "evaluation", "demonstrations", "sketches")
    before = written(bench)
    mixtures = list(itertools.product((0, 1), repeat=len(parts) + 3))
    for chosen in mixtures[1:-1]:
        settings, ladder, card, *rest = (runs[place] for place in chosen)
        own = {part: getattr(run.domain, part) for part, run in zip(parts, rest, strict=True)}
        domain = settings.domain.model_copy(update=own)
        if is_of_one_climb(domain, ladder, card, runs):
            continue
        with pytest.raises(BrokenRuleError):
            releasing.release_teacher(bench, ladder.ladder, domain, card.scorecard)
    assert written(bench) == before


def is_of_one_climb(domain, ladder, card, runs):
    """The settings of two climbs of one team may be equal; nothing else is."""
    return any((domain, ladder, card) == (run.domain, run, run) for run in runs)


def test_what_is_of_one_climb_is_released(climbs):
    assert {climbed.release().kind for climbed in climbs.values()} == {"release"}


def test_a_fork_point_that_was_recalled_while_the_team_climbed_ends_the_release(bench, climbs):
    start = climbs["math"].fork_point
    releasing.register_checkpoint(bench, "fork-point", start, "foundation")
    Registry(bench.store).recall("fork-point", 1, by="foundation", reason="leaked data")
    before = written(bench)
    with pytest.raises(RecalledError):
        climbs["math"].release()
    assert written(bench) == before
