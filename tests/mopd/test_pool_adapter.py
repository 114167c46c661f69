"""LoRA teachers over a shared base: what PEFT computes, without PEFT and without a second base."""

import json
import math

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.model.files import load_model
from tasks.model.log_probs import chosen_logits
from tasks.model.lora_factors import LoraAdapter
from tasks.mopd.settings import TeacherPlacement
from tasks.mopd.teacher_pool.checkpoint import CheckpointFolder, digest_folder
from tests.support.pool_teachers import answers, batch, mapped_files, of_folder, opened, saved
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model

pytestmark = pytest.mark.filterwarnings(  # PEFT's: of transformers, and of merging
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore:Model has `tie_word_embeddings=True` and a tied layer is part:UserWarning",
)
TOKENS = batch([5, 6, 7, 8], [9, 10])


def lora(tmp_path, name, *, seed=0, model=None, **config):
    """Return a PEFT model with drawn factors, and the folder that PEFT saves it in."""
    told = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]} | config
    made = peft.get_peft_model(model or tiny_model(0), peft.LoraConfig(**told))
    torch.manual_seed(seed)
    for key, parameter in made.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(tmp_path / name, save_embedding_layers=False)
    return made.eval(), tmp_path / name


def expected(model):
    with torch.no_grad():
        return chosen_logits(model.get_base_model(), TOKENS)


@pytest.fixture
def base(tmp_path):
    folder = saved(tiny_model(0), tmp_path / "base")
    return CheckpointFolder(digest_folder(folder), folder)


@pytest.mark.parametrize("placement", list(TeacherPlacement))
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"target_modules": "all-linear", "alpha_pattern": {"layers.1.self_attn.q_proj": 20}},
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"down_proj": 3}},
        {"target_modules": ["lm_head", "v_proj"]},
        {"lora_dropout": 0.5},
    ],
)
def test_an_adapter_answers_bit_by_bit_as_in_peft(tmp_path, base, config, placement):
    model, folder = lora(tmp_path, "tuned", **config)
    pool = opened([of_folder("m", folder, base)], placement=placement)
    found = answers(pool, "m", TOKENS)
    assert torch.equal(found, expected(model))
    with model.disable_adapter():
        assert (found - expected(model)).abs().max() > 0.01  # the adapter does something


def test_a_base_in_low_precision_is_computed_as_in_peft(tmp_path):
    # Loaded again, because .bfloat16() rounds the rotary frequencies as well.
    folder = saved(tiny_model(0).bfloat16(), tmp_path / "base")
    model, tuned = lora(tmp_path, "tuned", model=load_model(folder))
    pool = opened([of_folder("m", tuned, CheckpointFolder(digest_folder(folder), folder))])
    assert torch.equal(answers(pool, "m", TOKENS), expected(model))


def test_adapters_share_their_base_and_do_not_mix(tmp_path, base):
    models = {name: lora(tmp_path, name, seed=seed) for seed, name in enumerate("abc")}
    sources = [of_folder(name, folder, base) for name, (_, folder) in models.items()]
    pool = opened([*sources, of_folder("plain", base.folder)])
    with torch.no_grad():
        plain = chosen_logits(tiny_model(0), TOKENS)
    for name in ("a", "b", "plain", "c", "a"):
        wanted = plain if name == "plain" else expected(models[name][0])
        assert torch.equal(answers(pool, name, TOKENS), wanted)
        assert mapped_files(tmp_path) == ["base"]
    assert pool.counts.loads == 1


def test_states_of_one_adapter_meet_its_own_head(tmp_path, base):
    models = {
        name: lora(tmp_path, name, seed=seed, target_modules=["lm_head", "q_proj"])
        for seed, name in enumerate("ab")
    }
    pool = opened([of_folder(name, folder, base) for name, (_, folder) in models.items()])
    hidden = {name: pool.hidden(name, TOKENS) for name in "ab"}
    for name in "ab":
        assert torch.equal(pool.logits(name, hidden[name]), expected(models[name][0]))


def test_the_scale_is_alpha_over_the_rank_or_over_its_root(tmp_path):
    _, folder = lora(tmp_path, "tuned")
    assert {part.scale for part in LoraAdapter(folder).modules.values()} == {6 / 4}
    change(folder, use_rslora=True)
    assert {part.scale for part in LoraAdapter(folder).modules.values()} == {6 / 2}


def change(folder, **changed):
    """Write these entries into an adapter's config."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def change_factors(folder, how):
    """Rewrite an adapter's tensors."""
    file = folder / "adapter_model.safetensors"
    save_file(how(load_file(file)), file)


@pytest.mark.parametrize(
    ("changed", "code", "name"),
    [
        ({"peft_type": "IA3"}, "not-lora", "'IA3'"),
        ({"use_dora": True}, "more-than-low-rank", "use_dora=True"),
        ({"bias": "all"}, "more-than-low-rank", "bias='all'"),
        ({"modules_to_save": ["lm_head"]}, "more-than-low-rank", "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "more-than-low-rank", "init_lora_weights='pissa'"),
        ({"something_of_tomorrow": 1}, "more-than-low-rank", "something_of_tomorrow=1"),
    ],
)
def test_more_than_low_rank_factors_is_refused(tmp_path, base, changed, code, name):
    _, folder = lora(tmp_path, "tuned")
    change(folder, **changed)
    with refused(code, "'m'", name):
        opened([of_folder("m", folder, base)])


def test_a_factor_that_is_not_finite_is_refused(tmp_path, base):
    _, folder = lora(tmp_path, "tuned")

    def spoil(factors):
        next(iter(factors.values()))[0, 0] = math.nan
        return factors

    change_factors(folder, spoil)
    with refused("not-finite", "'m'"):
        opened([of_folder("m", folder, base)])


def test_a_factor_without_its_other_half_is_refused(tmp_path, base):
    _, folder = lora(tmp_path, "tuned")
    half = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    change_factors(folder, lambda factors: {k: v for k, v in factors.items() if k != half})
    with refused("missing-factor", "layers.0.self_attn.q_proj"):
        opened([of_folder("m", folder, base)])


def test_a_tensor_other_than_a_factor_is_refused(tmp_path, base):
    _, folder = lora(tmp_path, "tuned")
    change_factors(folder, lambda factors: {**factors, "base_model.model.x": torch.ones(1)})
    with refused("not-a-factor", "base_model.model.x"):
        opened([of_folder("m", folder, base)])


def test_a_base_of_another_digest_is_refused(tmp_path, base):
    _, folder = lora(tmp_path, "tuned")
    other = CheckpointFolder(digest_folder(saved(tiny_model(1), tmp_path / "other")), base.folder)
    with refused("other-digest", "'m'"):
        opened([of_folder("m", folder, other)])


def test_an_adapter_of_another_base_is_refused(tmp_path, base):
    _, folder = lora(tmp_path, "tuned", model=tiny_model(0, hidden_size=24))
    with refused("adapter-of-other-base"):
        opened([of_folder("m", folder, base)])


def test_a_whole_model_given_with_a_base_is_refused(tmp_path, base):
    folder = saved(tiny_model(1), tmp_path / "whole")
    with refused("no-adapter-config"):
        opened([of_folder("m", folder, base)])


def test_an_adapter_without_its_base_is_refused(tmp_path):
    _, folder = lora(tmp_path, "tuned")
    with refused("no-config"):
        opened([of_folder("m", folder)])
