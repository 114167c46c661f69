"""Rounding is predicted from the weights, and tells an optimizer's error from a foreign change."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tasks.ledger.reader import Ledger
from tasks.ledger.rounding import ulp
from tasks.ledger.schema import LedgerSettings
from tasks.ledger.split_adamw import AdamWConstants, SplitAdamW
from tasks.ledger.writer import LedgerWriter
from tests.support.refused import refused

COUNT = 20_000


def trained(folder, rate, deviation=0.02, decay=0.0, num_steps=10, foreign=None):
    """Write a ledger of random gradients of two sources; ``foreign`` changes the weights once."""
    noise = torch.Generator().manual_seed(0)
    weight = nn.Parameter(deviation * torch.randn(COUNT, generator=noise))
    optimizer = SplitAdamW(
        {"w": weight}, ["math", "code"], AdamWConstants(weight_decay=decay), record=True
    )
    start = {"w": weight.detach().clone()}
    writer = LedgerWriter(folder, LedgerSettings(segment_steps=4), optimizer, seed=0)
    trend = 0.3 * torch.randn(COUNT, generator=noise)
    for step in range(1, num_steps + 1):
        for source in optimizer.sources:
            optimizer.add(source, weight, trend + torch.randn(COUNT, generator=noise))
        optimizer.step(rate)
        if foreign is not None and step == num_steps // 2:
            foreign(weight.data)
        writer.step(step, [], [], last=step == num_steps)
    return Ledger.open(folder), start, optimizer.masters()


def test_the_unit_in_the_last_place_by_hand():
    # fp32 has 23 bits behind the leading one: 1 to 2 in steps of 2^-23, 0.5 to 1 of 2^-24.
    found = ulp(torch.tensor([1.0, 1.9, -2.0, 0.75, 0.0]))
    assert found.tolist() == [2.0**-23, 2.0**-23, 2.0**-22, 2.0**-24, 0.0]


@pytest.mark.parametrize("deviation", [0.02, 0.3, 3.0])
@pytest.mark.parametrize("rate", [1e-6, 1e-5, 1e-4])
def test_the_rounding_of_a_run_is_predicted_to_a_quarter(tmp_path, deviation, rate):
    found = Ledger.check(*trained(tmp_path, rate, deviation))
    assert found.rounding == pytest.approx(found.expected, rel=0.25)
    assert found.parts["rounding"] == pytest.approx(found.rounding, rel=1e-3)
    assert found.unexplained < 1e-9


@pytest.mark.parametrize("rate", [1e-6, 1e-5, 1e-4])
def test_the_rounding_of_decay_is_predicted_too(tmp_path, rate):
    found = Ledger.check(*trained(tmp_path, rate, 0.3, decay=0.1))
    assert found.rounding == pytest.approx(found.expected, rel=0.25)


def test_a_decay_that_fp32_cannot_hold_is_not_in_the_ledger(tmp_path):
    # 1 - 1e-6 x 0.01 is 1 in fp32: the weights do not decay.
    ledger, start, end = trained(tmp_path, 1e-6, decay=0.01)
    assert ledger.check(start, end).parts["decay"] == 0
    assert [segment.norms["decay"] for segment in ledger.manifest.segments] == [0.0] * 3


def test_more_steps_and_larger_weights_round_more(tmp_path):
    shares = [
        Ledger.check(*trained(tmp_path / str(place), 1e-5, *how)).expected
        for place, how in enumerate([(0.02,), (0.3,), (0.02, 0.0, 40)])
    ]
    # The change grows with the steps, so the share shrinks; weights 15 times as large round more.
    assert shares[2] < shares[0] < shares[1] / 8


def noisy(size):
    def change(weights):
        noise = torch.Generator().manual_seed(1)
        weights += size * torch.randn(len(weights), generator=noise)

    return change


def test_a_small_foreign_change_is_found_that_the_fixed_limit_let_pass(tmp_path):
    honest = Ledger.check(*trained(tmp_path / "honest", 3e-4))
    # Half of 1e-4 of the change, spread over all weights.
    size = 5e-5 * honest.change / COUNT**0.5
    assert 3 * honest.expected < 5e-5 < 1e-4
    with refused("unexplained-change"):
        Ledger.check(*trained(tmp_path / "foreign", 3e-4, foreign=noisy(size)))


@pytest.mark.parametrize("rate", [1e-6, 1e-5, 1e-4])
def test_a_foreign_change_of_four_times_the_rounding_is_found(tmp_path, rate):
    honest = Ledger.check(*trained(tmp_path / "honest", rate))
    size = 4 * honest.expected * honest.change / COUNT**0.5
    with refused("unexplained-change"):
        Ledger.check(*trained(tmp_path / "foreign", rate, foreign=noisy(size)))


def test_one_foreign_weight_among_all_is_found(tmp_path):
    def change(weights):
        weights[7] += 1e-7  # 1e-4 of what the update of a single weight is

    with refused("unexplained-change", "1 weights"):
        Ledger.check(*trained(tmp_path, 1e-4, foreign=change))


def older(folder, ledger, start):
    """Write a ledger as version 1 did: every part as it is, and no count of updates."""
    folder.mkdir()
    manifest = json.loads((ledger.folder / "ledger.json").read_text())
    manifest["schema_"] = "provost.ledger/1"
    for segment, walked in zip(manifest["segments"], ledger.walk(start), strict=True):
        for added in ("updates", "farthest"):
            del segment[added]
        tensors = {f"{part}/w": moved["w"] for part, moved in walked.parts.items()}
        save_file(tensors, folder / segment["file"])
    del manifest["saved"]
    (folder / "ledger.json").write_text(json.dumps(manifest))
    return Ledger.open(folder)


@pytest.mark.parametrize("rate", [1e-6, 3e-4])
def test_a_ledger_of_the_first_version_is_read_as_ever(tmp_path, rate):
    ledger, start, end = trained(tmp_path / "new", rate)
    old = older(tmp_path / "old", ledger, start)
    found, expected = old.check(start, end), ledger.check(start, end)
    assert found.rounding == pytest.approx(expected.rounding)
    assert found.expected == pytest.approx(expected.expected, rel=1e-3)
    assert found.unexplained < 1e-7
    for new, same in zip(ledger.walk(start), old.walk(start), strict=True):
        for part, moved in new.parts.items():
            assert torch.equal(moved["w"], same.parts[part]["w"])
        torch.testing.assert_close(same.end["w"], new.end["w"], rtol=0, atol=1e-8)


def test_a_ledger_of_the_first_version_keeps_its_limit(tmp_path):
    honest = Ledger.check(*trained(tmp_path / "honest", 3e-4))
    for name, share in (("below", 5e-5), ("above", 2e-4)):
        size = share * honest.change / COUNT**0.5
        ledger, start, end = trained(tmp_path / name, 3e-4, foreign=noisy(size))
        old = older(tmp_path / f"{name} old", ledger, start)
        if name == "below":
            assert old.check(start, end).rounding == pytest.approx(share, rel=0.1)
        else:
            with refused("unexplained-change"):
                old.check(start, end)
