"""The numbers of the shared supervised stage: a preset's, and those that a person gives."""

import pytest

from tasks.contracts.inputs import InputError
from tasks.sft.brought import shared_stage
from tasks.sft.settings import SHARED_STAGE, FoundationPreset


def test_a_preset_alone_gives_its_own_numbers():
    for preset in FoundationPreset:
        assert shared_stage(preset, 0, 0, 0.0, -1) == SHARED_STAGE[preset]


def test_a_pre_trained_model_is_changed_less_than_one_from_scratch():
    scratch, instruct = (SHARED_STAGE[preset] for preset in FoundationPreset)
    assert instruct.learning_rate <= scratch.learning_rate / 100
    assert 0 < instruct.warmup_steps <= instruct.num_steps / 10
    assert (instruct.muon, instruct.weight_decay) == (False, 0.0)


def test_given_numbers_replace_the_presets_and_a_warm_up_may_be_none():
    found = shared_stage(FoundationPreset.INSTRUCT, 7, 3, 2e-4, 0)
    assert (found.num_steps, found.batch_size) == (7, 3)
    assert (found.learning_rate, found.warmup_steps) == (2e-4, 0)


def test_a_number_out_of_its_range_is_refused_under_the_name_of_the_input():
    with pytest.raises(InputError, match="sft_learning_rate"):
        shared_stage(FoundationPreset.INSTRUCT, 0, 0, -1.0, -1)
    with pytest.raises(InputError, match="sft_warmup_steps"):
        shared_stage(FoundationPreset.INSTRUCT, 0, 0, 0.0, -2)
