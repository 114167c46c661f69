"""Displacements and ancestry of vectors whose geometry is known."""

import math

import pytest
import torch
from safetensors.torch import save_file

from tasks.model.ancestry import CheckpointTensors, ancestry, displacements


@pytest.fixture
def put(tmp_path):
    def put(name, first, second=(0.0, 0.0)):
        folder = tmp_path / name
        folder.mkdir()
        save_file({"a": torch.tensor(first)}, folder / "one.safetensors")
        save_file({"b": torch.tensor(second)}, folder / "two.safetensors")
        return folder

    return put


def test_a_displacement_is_relative_to_the_start_and_has_a_direction(put):
    start = put("start", [3.0, 4.0])
    found = displacements(
        start,
        {
            "along": put("along", [3.0, 5.0]),
            "same": put("same", [3.0, 4.5]),
            "across": put("across", [3.0, 4.0], (2.0, 0.0)),
        },
    )
    assert found["along"].relative == pytest.approx(1 / 5)
    assert found["across"].relative == pytest.approx(2 / 5)
    assert found["along"].cosines == pytest.approx({"same": 1.0, "across": 0.0})


def test_another_architecture_has_no_displacement_and_no_ancestry(put):
    start, other = put("start", [1.0, 2.0]), put("other", [1.0, 2.0, 3.0])
    assert displacements(start, {"other": other}) == {"other": None}
    assert ancestry(other, CheckpointTensors("start", start), None, []) is None


def test_a_child_carries_what_its_parent_learned(put):
    grandparent, parent = put("grandparent", [0.0, 0.0]), put("parent", [2.0, 0.0])
    child = put("child", [2.0, 1.0])
    found = ancestry(child, CheckpointTensors("sft", parent), grandparent, [])
    assert found.projection == pytest.approx(1.0)
    assert found.distance == pytest.approx(1 / 2)
    assert not found.contradicted


def test_a_stranger_does_not_and_its_real_parent_is_nearer(put):
    grandparent, parent = put("grandparent", [0.0, 0.0]), put("parent", [2.0, 0.0])
    real = put("real", [0.0, 2.0])
    child = put("child", [0.2, 2.0])
    alone = ancestry(child, CheckpointTensors("sft", parent), grandparent, [])
    assert alone.projection == pytest.approx(0.1)
    assert alone.contradicted
    found = ancestry(
        child, CheckpointTensors("sft", parent), None, [CheckpointTensors("real", real)]
    )
    assert found.projection is None
    assert (found.nearest, found.contradicted) == ("real", True)
    assert found.nearest_distance == pytest.approx(0.2 / 2)
    assert found.distance == pytest.approx(math.hypot(1.8, 2.0) / 2)


@pytest.mark.parametrize(
    ("moved", "contradicted", "doubtful"),
    [
        ([1.8, 2.0], False, False),  # cosine 1.8 / 2.69 = 0.669
        ([1.8, 2.3], False, True),  # cosine 1.8 / 2.92 = 0.616, and it keeps 90 %
        ([1.92, 9.0], False, False),  # cosine 0.21: it went on far, and keeps 96 %
        ([0.98, 0.1], True, False),  # cosine 0.99, but it keeps 49 %
    ],
)
def test_a_sibling_of_the_parent_went_elsewhere_with_what_it_does_not_keep(
    put, moved, contradicted, doubtful
):
    grandparent, parent = put("grandparent", [0.0, 0.0]), put("parent", [2.0, 0.0])
    found = ancestry(put("child", moved), CheckpointTensors("sft", parent), grandparent, [])
    assert found.cosine == pytest.approx(moved[0] / math.hypot(*moved))
    assert found.projection == pytest.approx(moved[0] / 2)
    assert (found.contradicted, found.doubtful) == (contradicted, doubtful)


def test_without_a_grandparent_the_matrices_tell_a_child_from_a_stranger(tmp_path):
    draw = torch.Generator().manual_seed(0)

    def save(name, matrix):
        (tmp_path / name).mkdir()
        save_file({"w": matrix, "norm": torch.ones(64)}, tmp_path / name / "w.safetensors")
        return tmp_path / name

    weights = torch.randn(64, 64, generator=draw)
    parent = CheckpointTensors("start", save("parent", weights))
    child = save("child", weights + 0.1 * torch.randn(64, 64, generator=draw))
    stranger = save("stranger", torch.randn(64, 64, generator=draw))
    # Standard error of the projection: 0.1 / 64 for the child, 1 / 64 for the stranger.
    found = ancestry(child, parent, None, [])
    assert found.projection == pytest.approx(1.0, abs=0.01)
    assert not found.contradicted
    found = ancestry(stranger, parent, None, [])
    assert found.projection == pytest.approx(0.0, abs=0.06)
    assert found.cosine is None
    assert found.contradicted
    nothing = found.model_copy(update={"projection": -0.001})
    assert "keep 0% of" in nothing.summary


def test_a_candidate_as_near_as_the_parent_contradicts_nothing(put):
    grandparent, parent = put("grandparent", [0.0, 0.0]), put("parent", [2.0, 0.0])
    twin = put("twin", [2.0, 0.05])
    child = put("child", [2.0, 1.0])
    found = ancestry(
        child, CheckpointTensors("sft", parent), grandparent, [CheckpointTensors("twin", twin)]
    )
    assert found.nearest == "twin"
    assert not found.contradicted
