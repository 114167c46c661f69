"""Blocks hold every number once, and their size changes nothing."""

import pytest
import torch
from torch import nn

from tasks.ledger import source_gradients as blocks
from tasks.ledger.source_gradients import Cutter
from tasks.ledger.split_adamw import AdamWConstants, SplitAdamW


def tensors():
    """Return a matrix, a scalar, one without numbers, one that is no contiguous room, a vector."""
    return [
        torch.arange(6.0).view(2, 3),
        torch.tensor(6.0),
        torch.empty(0, 3),
        torch.arange(7.0, 13.0).view(3, 2).T,
        torch.arange(13.0, 20.0),
    ]


def test_a_block_is_filled_from_several_tensors_and_a_tensor_is_cut_where_it_is_full(monkeypatch):
    monkeypatch.setattr(blocks, "_ON_CPU", 4)
    cut = Cutter(tensors()).cut(tensors())
    assert [[piece.flatten().tolist() for piece in block] for block in cut] == [
        [[0, 1, 2, 3]],
        [[4, 5], [6], [7, 9, 11, 8, 10, 12]],  # what is not contiguous stays in one piece
        [[13, 14, 15, 16]],
        [[17, 18, 19]],
    ]


def test_pieces_are_views(monkeypatch):
    monkeypatch.setattr(blocks, "_ON_CPU", 4)
    whole = tensors()
    for block in Cutter(whole).cut(whole):
        torch._foreach_zero_(block)
    assert not any(tensor.any() for tensor in whole)


def test_no_tensors_are_as_many_empty_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "_ON_CPU", 4)
    assert Cutter(tensors()).cut([]) == [[], [], [], []]


def updated(size, monkeypatch):
    """Return the weights and every part after three updates with blocks of this size."""
    monkeypatch.setattr(blocks, "_ON_CPU", size)
    parameters = {f"{n}": nn.Parameter(t.clone()) for n, t in enumerate(tensors())}
    constants = AdamWConstants(weight_decay=0.1, gradient_clip=1.0)
    optimizer = SplitAdamW(parameters, ["math", "code"], constants, record=True)
    reports = []
    for step in range(3):
        for source, factor in (("math", 1.0), ("code", -0.3)):
            with optimizer.gathering(source):
                for place, parameter in enumerate(parameters.values()):
                    (factor * (parameter * (place + step)).sin().sum()).backward()
        reports.append(optimizer.step(0.01))
    return parameters, optimizer.segment(), reports


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_size_of_a_block_changes_no_weight_and_no_part(size, monkeypatch):
    whole, whole_parts, whole_reports = updated(1 << 18, monkeypatch)
    cut, cut_parts, cut_reports = updated(size, monkeypatch)
    for name in whole:
        torch.testing.assert_close(cut[name], whole[name])
        for part in whole_parts:
            torch.testing.assert_close(cut_parts[part][name], whole_parts[part][name])
    for one, other in zip(cut_reports, whole_reports, strict=True):
        assert one.gradient_norm == pytest.approx(other.gradient_norm)
        assert one.sources["code"].cosine == pytest.approx(other.sources["code"].cosine)
