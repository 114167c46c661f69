"""A climb becomes a release: what the manifest says is what was measured, made and stored."""

import json

import pytest

from lineage.artifacts import Artifact, Release, read_manifest
from lineage.errors import LineageError, RecalledError
from lineage.registry.registry import Registry
from lineage.rules.evidence import BrokenRuleError
from tasks.model.files import Policy, save_policy
from tasks.model.identity import identity_of
from tasks.model.training_templates import replace_template
from tasks.platform.step_runner import StepRunner
from tasks.release.checkpoints import register_checkpoint, resolve_checkpoint
from tests.support.mirrors import MemoryMirror
from tests.support.refused import raised
from tests.support.runs import Climbed, Maker
from tests.support.templates import text_of
from tests.support.tiny_models import tiny_policy, with_template
from workflows.commands.names import told_of_candidate

BARELY = (0.02, 0.02, 0.01, 0.03)
"""Scores of a teacher beside a fork point that solves nothing."""


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def make(runner):
    return Maker(runner)


@pytest.fixture
def fork_point(make):
    return make.checkpoint(0)


@pytest.fixture
def climbed(make, fork_point):
    return Climbed(make, fork_point)


class OfTree(Maker):
    """A maker of checkpoints that all have the files of one tree."""

    def __init__(self, runner, tree):
        super().__init__(runner)
        self._tree = tree

    def checkpoint(self, seed, kind="sft", owner="", inputs=(), **settings):
        settings = {"of": seed} | settings
        return self._made("checkpoint", self._tree, kind, owner, inputs, **settings)


def manifest_of(runner, artifact, model=Release):
    return read_manifest(runner.store, artifact.digest, model)


def test_the_last_rung_is_the_teacher(runner, climbed):
    manifest = manifest_of(runner, climbed.release())
    assert [rung.step for rung in manifest.ladder] == [10, 20]
    assert manifest.checkpoint == manifest.ladder[-1].checkpoint
    assert manifest.checkpoint.digest == climbed.ladder[-1].checkpoint.digest


def test_precursor_and_fork_point_are_read_from_the_records(runner, climbed, fork_point):
    manifest = manifest_of(runner, climbed.release())
    assert manifest.precursor.digest == climbed.precursor.digest
    assert manifest.fork_point.digest == fork_point.digest


def test_what_the_team_says_of_itself_travels_and_its_climb_says_how_it_sampled(runner, climbed):
    manifest = manifest_of(runner, climbed.release())
    assert (manifest.domain, manifest.owner) == ("math", "team-math")
    assert (manifest.team_version, manifest.license) == ("2.1", "MIT")
    assert (manifest.sampling.temperature, manifest.sampling.max_new_tokens) == (0.7, 9)


def test_tokenizer_and_template_are_read_from_the_teacher(runner, climbed):
    manifest = manifest_of(runner, climbed.release())
    folder = runner.store.tree(manifest.checkpoint.digest)
    assert (manifest.tokenizer, manifest.template) == identity_of(folder)


def test_a_template_of_ours_is_named_and_older_releases_are_read_without(
    runner, make, fork_point, tmp_path
):
    plain = Climbed(make, fork_point, seed=1).release()
    assert "training_template" not in json.loads(runner.store.get_bytes(plain.digest))
    assert manifest_of(runner, plain).training_template == ""
    made = with_template(text_of("qwen3"))
    replace_template(made)
    saved = save_policy(Policy(tiny_policy(3).model, made), tmp_path / "ours")
    tree = runner.store.put_tree(saved)
    climbed = Climbed(OfTree(runner, tree), fork_point, seed=2)
    assert manifest_of(runner, climbed.release()).training_template == "qwen3"


def test_every_part_is_an_input_of_the_releases_record(runner, climbed):
    released = climbed.release()
    inputs = {item.role: item for item in runner.records.read(released.record).inputs}
    for part, artifact in manifest_of(runner, released).artifacts().items():
        assert (inputs[part].artifact, inputs[part].record) == (artifact.digest, artifact.record)


def test_a_release_is_registered_and_both_aliases_point_at_it(runner, make, fork_point):
    first, second = (Climbed(make, fork_point, seed=seed).release() for seed in (1, 2))
    registry = Registry(runner.store)
    assert [entry.digest for entry in registry.versions("teacher.math")] == [
        first.digest,
        second.digest,
    ]
    assert registry.aliases("teacher.math") == {"candidate": 2, "released": 2}
    assert registry.versions("teacher.math")[1].note == "2.1"


def test_a_teacher_that_does_not_beat_the_fork_point_stays_a_candidate(runner, make, fork_point):
    Climbed(make, fork_point, seed=1).release()
    Climbed(make, fork_point, seed=2, scores=(0.8, 0.02, -0.01, 0.05)).release()
    Climbed(make, fork_point, seed=3, scores=(0.8, -0.1, -0.2, -0.01)).release()
    assert Registry(runner.store).aliases("teacher.math") == {"candidate": 3, "released": 1}


def test_a_clear_gain_below_the_least_score_stays_a_candidate(runner, make, fork_point):
    Climbed(make, fork_point, seed=1, scores=BARELY).release()
    assert Registry(runner.store).aliases("teacher.math") == {"candidate": 1}
    Climbed(make, fork_point, seed=2, scores=(0.1, 0.1, 0.05, 0.15)).release()
    assert Registry(runner.store).aliases("teacher.math") == {"candidate": 2, "released": 2}


def test_a_team_may_lower_the_least_score_and_release_what_is_finished(runner, make, fork_point):
    low = Climbed(make, fork_point, seed=1, scores=BARELY)
    low.release()
    lowered = low.domain.settings.model_copy(update={"least_score": 0.02})
    low.release(settings=lowered)
    registry = Registry(runner.store)
    assert registry.aliases("teacher.math") == {"candidate": 1, "released": 1}
    assert len(registry.versions("teacher.math")) == 1


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        (BARELY, "its score is 0.020, below least_score of DOMAIN, 0.1"),
        ((0.5, 0.02, -0.01, 0.05), "it does not beat the fork point"),
    ],
)
def test_the_end_of_a_climb_says_which_condition_does_not_hold(make, fork_point, scores, why):
    made = Climbed(make, fork_point, scores=scores).release()
    said = told_of_candidate(made)
    assert said[0].startswith(f"math@1 stays a candidate: {why}. Its gain is +0.020 (")
    assert "provost teacher promote math@1" in said[1]


def test_the_end_of_a_climb_knows_a_teacher_that_a_person_rolled_back(runner, make, fork_point):
    Climbed(make, fork_point, seed=1).release()
    later = Climbed(make, fork_point, seed=2).release()
    assert told_of_candidate(later) == []
    Registry(runner.store).point("teacher.math", "released", 1, by="ann", reason="2 rhymes")
    assert "a person moved `released` elsewhere" in told_of_candidate(later)[0]


def test_a_scorecard_that_says_nothing_of_the_gain_releases_nothing(runner, climbed, make):
    rows = runner.records.read(climbed.scorecard.record).inputs
    told = [
        (row.role, Artifact(kind="measurement", digest=row.artifact, record=row.record), row.name)
        for row in rows
    ]
    card = make.part("scorecard", "{}", "scorecard", climbed.owner, told)
    with pytest.raises(LineageError):
        climbed.release(scorecard=card)
    assert Registry(runner.store).names() == []


def test_releasing_again_changes_nothing(runner, climbed):
    first = climbed.release()
    moves = Registry(runner.store).moves("teacher.math")
    assert climbed.release() == first
    registry = Registry(runner.store)
    assert len(registry.versions("teacher.math")) == 1
    assert registry.moves("teacher.math") == moves


def test_a_part_that_is_not_in_the_store_is_refused_before_anything_is_registered(runner, climbed):
    lost = Artifact(kind="dataset", digest="sha256:" + "0" * 64)
    with raised(LineageError, "missing-part", "'evaluation'"):
        climbed.release(evaluation=lost)
    assert Registry(runner.store).names() == []


def test_a_part_of_the_wrong_kind_is_refused(runner, climbed):
    with raised(LineageError, "other-kind", "'environment'", "dataset"):
        climbed.release(environment=climbed.domain.train)
    assert Registry(runner.store).names() == []


def test_content_that_was_recalled_is_not_released_again(runner, climbed):
    climbed.release()
    Registry(runner.store).recall("teacher.math", 1, by="team", reason="leaked answers")
    with pytest.raises(RecalledError, match="leaked answers"):
        climbed.release()


def test_a_registered_checkpoint_is_handed_on_and_resolved(runner, fork_point):
    assert register_checkpoint(runner, "fork-point", fork_point, "foundation") == fork_point
    found = resolve_checkpoint(runner, "fork-point@released")
    assert (found.digest, found.record) == (fork_point.digest, fork_point.record)


@pytest.mark.parametrize("name", ["teacher.math", "student.general", "audit.general"])
def test_a_checkpoint_takes_no_name_of_what_has_a_step_of_its_own(runner, fork_point, name):
    with pytest.raises(LineageError):
        register_checkpoint(runner, name, fork_point, "foundation")
    assert Registry(runner.store).names() == []


def test_what_no_record_gave_as_a_checkpoint_is_not_registered_as_one(runner, climbed, fork_point):
    data = climbed.domain.train.model_copy(update={"kind": "checkpoint"})
    strange = fork_point.model_copy(update={"record": climbed.precursor.record})
    raw = fork_point.model_copy(update={"record": ""})
    for each in (data, strange, raw):
        with pytest.raises(BrokenRuleError):
            register_checkpoint(runner, "fork-point", each, "foundation")
    assert Registry(runner.store).names() == []
