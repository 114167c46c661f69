"""What is saved is a choice: fp32 is exact, bf16 is each weight rounded, and the note says so."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.model.bring_in import bring_in
from tasks.model.files import load_model, save_policy
from tasks.model.saving import save_in, squares
from tasks.model.settings import Precision, StoredAs
from tasks.model.trained_elsewhere import as_checkpoint
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

TASKS = Path(__file__).resolve().parents[2] / "tasks"


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
    again = bring_in(tmp_path / "half", tmp_path / "again", StoredAs.BF16)
    assert again.notes["saved"] == {"precision": "bf16", "rounding": 0.0}
    assert load_model(again.folder).dtype == torch.bfloat16
    save_policy(policy, tmp_path / "whole")
    rounded = bring_in(tmp_path / "whole", tmp_path / "rounded", StoredAs.BF16)
    assert 1e-4 < rounded.notes["saved"]["rounding"] < 2**-8
    one, other = (load_model(each.folder).state_dict() for each in (again, rounded))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stored_as", list(StoredAs))
@pytest.mark.parametrize("precision", list(Precision))
def test_auto_keeps_bf16_and_makes_nothing_else_of_fp32(precision, stored_as, tmp_path):
    policy = tiny_policy(1)
    save_in(policy, tmp_path / "given", precision)
    expected = precision.value if stored_as is StoredAs.AUTO else stored_as.value
    start = save_policy(tiny_policy(0), tmp_path / "start")
    for brought in (
        bring_in(tmp_path / "given", tmp_path / "base", stored_as),
        as_checkpoint(tmp_path / "given", start, tmp_path / "teacher", "", stored_as),
    ):
        assert brought.notes["saved"]["precision"] == expected
        kinds = {tensor.dtype for tensor in weights_of(brought.folder).values()}
        assert kinds == {torch.float32 if expected == "fp32" else torch.bfloat16}


def test_one_weight_in_fp32_keeps_all_in_fp32(tmp_path):
    save_in(tiny_policy(1), tmp_path / "given", Precision.BF16)
    file = tmp_path / "given" / "model.safetensors"
    weights = load_file(file)
    name = "model.norm.weight"
    fine = torch.full_like(weights[name], 1 + 2**-20, dtype=torch.float32)
    save_file(weights | {name: fine}, file, {"format": "pt"})
    brought = bring_in(tmp_path / "given", tmp_path / "brought")
    assert brought.notes["saved"] == {"precision": "fp32"}
    found = weights_of(brought.folder)
    assert torch.equal(found[name], fine)
    assert all(torch.equal(found[each], weights[each].float()) for each in found if each != name)


def test_fp32_weights_are_not_rounded_by_a_config_that_says_bf16(tmp_path):
    given = save_policy(tiny_policy(1), tmp_path / "given")
    file = given / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"dtype": "bfloat16"}))
    brought = bring_in(given, tmp_path / "brought")
    assert brought.notes["saved"] == {"precision": "fp32"}
    one, other = weights_of(given), weights_of(brought.folder)
    assert all(torch.equal(one[name], other[name]) for name in one)


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def test_what_cannot_be_loaded_is_not_saved(tmp_path):
    policy = tiny_policy(1)
    policy.model.config.hidden_size *= 2  # written, and contradicted by the weights
    with refused("missing-weights"):
        save_policy(policy, tmp_path / "saved")
    with refused("missing-weights"):
        save_in(policy, tmp_path / "half", Precision.BF16)


TRIED_BY_THEMSELVES = {
    "model/files.py",  # save_policy, which loads what it wrote
    "onpolicy/student_files.py",
    "reward_model/steps.py",
    "scoring/reward_model.py",
    "model/lora.py",  # adapters beside a merged model
    "rollout/sampling/vllm/weight_files.py",  # for a server, in memory
    "model/trained_elsewhere.py",
}


def test_every_checkpoint_is_saved_where_it_is_loaded_once():
    raw = re.compile(r"\bwrite_policy\b|\.save_pretrained\(")
    found = {
        str(file.relative_to(TASKS)): file.read_text()
        for file in TASKS.rglob("*.py")
        if raw.search(file.read_text())
    }
    assert found.keys() == TRIED_BY_THEMSELVES
    for name in ("onpolicy/student_files.py", "model/trained_elsewhere.py", "model/files.py"):
        assert "load_policy(" in found[name]
    assert "load_reward_model(saved)" in found["reward_model/steps.py"]
