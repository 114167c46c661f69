"""A model is counted from its config alone, as a real one counts."""

import pytest
from transformers import AutoConfig

from tasks.estimate.presets import PRESETS
from tasks.estimate.question import fits_of, named_teachers
from tasks.estimate.shape import named_shape, shape_of, shape_of_folder
from tasks.model.architecture import model_class
from tasks.platform.resources import load_flavor
from tests.support.estimates import LOAD, SHAPE
from tests.support.project_files import ROOT
from tests.support.refused import refused
from tests.support.zoo import tiny

SMALL = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


@pytest.mark.parametrize("tied", [True, False])
def test_a_dense_model_by_hand(tied):
    shape = shape_of(AutoConfig.for_model("qwen3", **SMALL, tie_word_embeddings=tied), "small")
    # Projections of queries and output, keys and values, three of the network, two norms of 16 and
    # two of heads of 8.
    layer = 2 * 16 * 32 + 2 * 16 * 16 + 3 * 16 * 24 + 2 * 16 + 2 * 8
    assert (shape.layer, shape.layers) == (layer, 2 * layer)
    assert (shape.embedding, shape.head, shape.rest) == (64 * 16, 0 if tied else 64 * 16, 16)
    assert (shape.attended, shape.key_value, shape.feed_forward) == (32, 16, 24)
    assert shape.norms_heads
    assert shape.active == shape.total
    # Inputs and outputs of each projection.
    assert shape.adapted == 2 * (2 * (16 + 32) + 2 * (16 + 16) + 3 * (16 + 24))
    assert shape.largest == max(64 * 16, 16 * 32)


def test_a_mixture_passes_a_token_through_some_experts():
    moe = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
    shape = shape_of(AutoConfig.for_model("qwen3_moe", **SMALL, **moe), "small")
    experts = 2 * 8 * 3 * 16 * 12
    assert shape.unread == experts * 6 / 8
    assert shape.feed_forward == 2 * 12


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2", "mamba"])
def test_other_architectures_count_as_their_models_do(model_type):
    names = {"gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 4, "vocab_size": 64}}
    config = AutoConfig.for_model(model_type, **names.get(model_type, SMALL))
    model = model_class(config)(config)
    shape = shape_of(config, "small")
    assert shape.total == sum(parameter.numel() for parameter in model.parameters())
    assert min(shape.hidden, shape.attended, shape.key_value, shape.feed_forward) > 0


@pytest.mark.parametrize("name", ["nemotron-h", "gpt-oss", "qwen3-next", "gemma3", "mistral"])
def test_a_family_is_counted_from_its_folder_as_its_model_counts(tmp_path, name):
    # Nemotron-H's config has an infinite number, which JSON cannot hold.
    model = tiny(name)
    model.config.save_pretrained(tmp_path)
    shape = shape_of_folder(tmp_path, name)
    assert shape.total == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_a_known_model_has_the_parameters_of_its_card(name):
    shape = named_shape(name)
    assert shape.total / 1e9 == pytest.approx(PRESETS[name].billions, abs=0.051)
    assert shape.saved_bytes == 2


def test_an_unknown_name_is_refused(tmp_path):
    with refused("unknown-model", "qwen3-32b"):
        named_shape(str(tmp_path))


def test_teachers_are_a_number_or_names():
    assert named_teachers(["3"], SHAPE) == [SHAPE] * 3
    mixed = named_teachers(["smollm2-135m", "qwen3-1.7b"], SHAPE)
    assert [teacher.name for teacher in mixed] == ["smollm2-135m", "qwen3-1.7b"]
    with refused("no-teachers"):
        named_teachers(["0"], SHAPE)


def test_a_question_takes_the_flavors_ranks_or_its_own():
    (own,) = fits_of(SHAPE, [SHAPE], load_flavor("h100"), LOAD, 4)
    assert (own.work.num_ranks, own.work.ranks_per_node, own.work.on_gpu) == (16, 8, True)
    asked = fits_of(SHAPE, [SHAPE, SHAPE], load_flavor("h100"), LOAD, 4, [8, 64])
    assert [(fit.work.num_ranks, fit.work.domains) for fit in asked] == [(8, 2), (64, 2)]


def test_the_hardware_guide_says_how_large_an_adapter_of_rank_16_is():
    shapes = {size: named_shape(f"qwen3-{size.lower()}") for size in ("1.7B", "8B", "32B")}
    first, *more = (
        f"{16 * shape.adapted / shape.total:.1%} of Qwen3-{size}".replace("%", " %")
        for size, shape in shapes.items()
    )
    said = f"{first.replace('of Q', 'of the weights of Q')}, {' and '.join(more)}"
    assert said in (ROOT / "docs" / "guides" / "hardware.md").read_text()
