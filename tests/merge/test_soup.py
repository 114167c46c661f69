"""Merges of checkpoints: what they record, and what is refused before anything is loaded."""

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from lineage.artifacts import Artifact
from lineage.graph.handed import Handed, common_weight_ancestors, inputs_handing
from lineage.records.record import Derivation, Input
from tasks.contracts.handover import StageLabel
from tasks.merge.settings import MergeMethod, SoupSettings, WeightedCheckpoint
from tasks.merge.soup import merge_checkpoints
from tasks.model.files import save_policy
from tasks.platform.step_runner import StepRunner
from tests.support.making import write_record
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

SOUP = StageLabel(name="soup", owner="consolidation")


@pytest.fixture
def runner(home):
    return StepRunner(mirror=MemoryMirror())


@pytest.fixture
def trained(runner, tmp_path):
    """Return a function that records a checkpoint: the tiny model plus a shift, from another."""

    def make(name, shift, start=None, kind="sft", role="start"):
        folder = save_policy(tiny_policy(), tmp_path / name)
        weights = load_file(folder / "model.safetensors")
        moved = {key: tensor + shift for key, tensor in weights.items()}
        save_file(moved, folder / "model.safetensors", {"format": "pt"})
        derivation = Derivation(
            project=runner.project,
            kind=kind,
            inputs=(Input.of(role, start),) if start else (),
            source="sha256:" + "1" * 64,
            settings={"name": name},
            seed=0,
        )
        return runner.find_or_make(derivation, "checkpoint", lambda *_: folder)

    return make


@pytest.fixture
def base(trained):
    return trained("base", 0.0, kind="base")


@pytest.fixture
def models(trained, base):
    return [
        WeightedCheckpoint(name=name, checkpoint=trained(name, shift, base), share=share)
        for name, shift, share in (("one", 1.0, 1.0), ("two", -2.0, 3.0))
    ]


def shift_of(runner, artifact, base):
    one, other = (
        load_file(runner.store.tree(item.digest) / "model.safetensors") for item in (artifact, base)
    )
    shifts = torch.cat([(one[name] - other[name]).flatten() for name in other])
    assert shifts.max() - shifts.min() < 1e-4
    return shifts.mean().item()


@pytest.mark.parametrize(
    ("settings", "shift"),
    [
        (SoupSettings(), (1 - 6) / 4),
        # shares of a task vector are factors: 1 * 1 + 3 * -2
        (SoupSettings(method=MergeMethod.TASK_ARITHMETIC, weight=0.5), 0.5 * -5),
        # the negative sign is elected, and -2 is the only entry with it
        (SoupSettings(method=MergeMethod.TIES, density=0.999999), -2.0),
    ],
)
def test_a_soup_is_the_stated_merge(runner, base, models, settings, shift):
    made = merge_checkpoints(runner, base, models, settings, 0, SOUP)
    assert shift_of(runner, made, base) == pytest.approx(shift, abs=1e-4)
    derivation = runner.records.read(made.record)
    assert [(i.role, i.name, i.weight) for i in derivation.inputs] == [
        ("base", "", None),
        ("model", "one", 1.0),
        ("model", "two", 3.0),
    ]
    assert len(list(inputs_handing(derivation, Handed.WEIGHTS))) == 3
    assert merge_checkpoints(runner, base, models, settings, 1, SOUP) == made  # no draw, no seed


def test_checkpoints_with_different_ancestors_are_refused(runner, trained, base, models):
    stranger = trained("stranger", 0.5, kind="base")
    theirs = WeightedCheckpoint(name="theirs", checkpoint=trained("theirs", 0.7, stranger))
    with refused("no-common-ancestor", "theirs"):
        merge_checkpoints(runner, base, [models[0], theirs], SoupSettings(), 0, SOUP)
    with refused("no-common-ancestor"):  # they share the base, and this is not it
        merge_checkpoints(runner, stranger, models, SoupSettings(), 0, SOUP)


@pytest.mark.parametrize(("kind", "role"), [("mopd", "teacher"), ("rl", "value_start")])
def test_a_shared_teacher_or_value_does_not_count_as_an_ancestor(runner, trained, base, kind, role):
    first = trained("first", 0.1, base, kind=kind, role=role)
    second = trained("second", 0.2, base, kind=kind, role=role)
    pairs = [(item.digest, item.record) for item in (first, second)]
    assert common_weight_ancestors(runner.records, pairs) == set()


def test_merges_that_cannot_be_are_refused(runner, base, models):
    with refused("models-to-merge"):
        merge_checkpoints(runner, base, models[:1], SoupSettings(), 0, SOUP)
    with refused("models-to-merge"):
        merge_checkpoints(runner, base, [models[0]] * 2, SoupSettings(), 0, SOUP)
    record, _ = write_record(runner.store, b"scores", output_kind="reward_model")
    digest = runner.records.output(record).output
    scorer = Artifact(kind="reward_model", digest=digest, record=record)
    with refused("other-kind", "rm"):
        rm = WeightedCheckpoint(name="rm", checkpoint=scorer)
        merge_checkpoints(runner, base, [models[0], rm], SoupSettings(), 0, SOUP)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "ties"},
        {"method": "dare", "density": 1.0},
        {"method": "average", "density": 0.5},
        {"method": "average", "weight": 0.5},
    ],
)
def test_a_number_that_would_do_nothing_is_refused(settings):
    with pytest.raises(ValidationError):
        SoupSettings(**settings)
