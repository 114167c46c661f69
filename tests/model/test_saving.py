"""What is saved is a choice: fp32 is exact, bf16 is each weight rounded, and the note says so."""

import pytest
import torch

from tasks.model.bring_in import bring_in
from tasks.model.files import load_model, save_policy
from tasks.model.saving import save_in, squares
from tasks.model.settings import Precision
from tests.support.tiny_models import tiny_policy


def test_what_rounding_takes_is_worked_out_by_hand():
    # bf16 has steps of 2**-7 from 1 to 2: 1 + 2**-9 becomes 1, and 3 stays.
    lost, whole = squares([torch.tensor([1 + 2**-9, 3.0])], torch.bfloat16).tolist()
    assert lost == pytest.approx(2**-18)
    assert whole == pytest.approx((1 + 2**-9) ** 2 + 9)


@pytest.mark.parametrize("precision", list(Precision))
def test_a_policy_is_saved_in_the_precision_and_stays_as_it_is(precision, tmp_path):
    policy = tiny_policy(1)
    before = {name: weight.clone() for name, weight in policy.model.state_dict().items()}
    note = save_in(policy, tmp_path / "saved", precision)
    saved = load_model(tmp_path / "saved")
    kept = torch.float32 if precision is Precision.FP32 else torch.bfloat16
    assert note["precision"] == precision.value
    assert ("rounding" in note) == (precision is Precision.BF16)
    for name, weight in saved.state_dict().items():
        assert torch.equal(weight, before[name].to(kept))
        assert torch.equal(policy.model.state_dict()[name], before[name])


def test_a_bf16_folder_stays_bf16_without_loss_and_a_fp32_folder_loses_what_the_note_says(tmp_path):
    policy = tiny_policy(1)
    save_in(policy, tmp_path / "half", Precision.BF16)
    again = bring_in(tmp_path / "half", tmp_path / "again", Precision.BF16)
    assert again.notes["saved"] == {"precision": "bf16", "rounding": 0.0}
    assert load_model(again.folder).dtype == torch.bfloat16
    save_policy(policy, tmp_path / "whole")
    rounded = bring_in(tmp_path / "whole", tmp_path / "rounded", Precision.BF16)
    assert 1e-4 < rounded.notes["saved"]["rounding"] < 2**-8
    one, other = (load_model(each.folder).state_dict() for each in (again, rounded))
    assert all(torch.equal(one[name], other[name]) for name in one)
