"""What a cheaper ledger loses: sketches, roundings and longer segments by hand."""

import pytest
import torch

from benchmarks.ledger.options import halved, loss, merged, sketcher
from tasks.attribution.trajectory import Stretch
from tasks.ledger.schema import Segment

NORMS = {"math": 1.0, "code": 1.0, "decay": 0.0, "rounding": 0.0}


def stretch(start, **moves):
    segment = Segment.model_construct(first_step=1, last_step=2, norms=NORMS)
    still = {"w": torch.zeros(2)}
    parts = dict.fromkeys(NORMS, still) | {
        part: {"w": torch.tensor(move)} for part, move in moves.items()
    }
    return Stretch(segment, {"w": torch.tensor(start)}, parts)


def test_sketches_of_two_vectors_have_their_product_on_average():
    first, second = ({"w": torch.randn(300), "v": torch.randn(4, 5)} for _ in range(2))
    exact = sum(float((first[name] * second[name]).sum()) for name in first)
    products = torch.tensor(
        [float(make(first) @ make(second)) for make in (sketcher(first, 64, s) for s in range(400))]
    )
    assert float(products.mean()) == pytest.approx(exact, abs=4 * float(products.std()) / 20)
    wide = sketcher(first, 1 << 22)
    assert float(wide(first) @ wide(second)) == pytest.approx(exact, abs=1.0)


def test_the_loss_is_relative_to_the_sizes_of_all_parts():
    exact_SB = torch.tensor([[1.0, -1.0], [0.0, 2.0]])
    found_SB = torch.tensor([[1.0, 2.5], [0.4, 2.0]])
    found = loss(found_SB, exact_SB, sizes_B=torch.tensor([2.0, 4.0]))
    # 0, 0.4 / 2 and 3.5 / 4, 0; the second behavior has another largest source.
    assert found == {"mean_error": 0.269, "largest_error": 0.875, "same_teacher": 0.5}


def test_rounded_displacements_and_rounding_add_up_to_the_change():
    exact = stretch([0.0, 0.0], math=[1.001, 0.0], code=[0.0, 3.0])
    found = halved(exact, ["math", "code"])
    torch.testing.assert_close(found.change, exact.change)
    assert found.parts["math"]["w"].tolist() == [1.0, 0.0]
    assert found.parts["rounding"]["w"].tolist() == pytest.approx([0.001, 0.0], abs=1e-6)
    assert found.segment.norms["rounding"] > 0
    assert exact.parts["rounding"]["w"].tolist() == [0.0, 0.0]


def test_segments_become_one_straight_line():
    course = [stretch([0.0, 0.0], math=[1.0, 0.0]), stretch([1.0, 0.0], code=[0.0, 2.0])]
    [found] = merged(course, 2)
    assert found.start["w"].tolist() == [0.0, 0.0]
    assert found.at(1.0)["w"].tolist() == [1.0, 2.0]
    assert found.parts["code"]["w"].tolist() == [0.0, 2.0]
    assert len(merged([*course, course[0]], 2)) == 2
