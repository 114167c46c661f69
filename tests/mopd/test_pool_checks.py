"""What a pool refuses to open, before anything is sampled."""

import json
import math

import pytest
import torch

from lineage.store.store import FolderStore
from tasks.model.files import save_policy
from tasks.mopd.teacher_pool.checkpoint import TeacherSource, digest_folder
from tests.support.pool_teachers import change_weights, of_folder, opened, saved, teacher
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tiny_policy


def check(sources, code, *names, **changed):
    """Expect that a pool refuses these sources with this code and these names."""
    with refused(code, *names):
        opened(sources, **changed)


@pytest.fixture
def folder(tmp_path):
    return saved(tiny_model(1), tmp_path / "m")


def change_config(folder, **changed):
    """Write these entries into a saved model's config; None takes one out."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def test_a_name_with_another_teachers_weights_is_refused(tmp_path):
    a, b = teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 1)
    swapped = [TeacherSource("a", a.digest, b.folder), TeacherSource("b", b.digest, a.folder)]
    check(swapped, "other-digest", "'a'")


def test_a_store_folder_of_another_digest_is_refused_without_reading_it(tmp_path):
    store = FolderStore(tmp_path / "store")
    a, b = (store.put_tree(saved(tiny_model(seed), tmp_path / f"{seed}")) for seed in (0, 1))
    opened([TeacherSource("a", a, store.tree(a)), TeacherSource("b", b, store.tree(b))])
    check([TeacherSource("a", a, store.tree(b))], "other-digest", "'a'")


def test_the_digest_of_a_folder_is_the_stores(tmp_path):
    store = FolderStore(tmp_path / "store")
    folder = save_policy(tiny_policy(), tmp_path / "model")
    (folder / "more").mkdir()
    (folder / "more" / "notes.txt").write_text("x")
    (folder / "more.txt").write_text("y")
    assert digest_folder(folder) == store.put_tree(folder)


def test_a_name_given_twice_is_refused(tmp_path):
    source = teacher(tmp_path, "m", 0)
    check([source, source], "ambiguous-names", "'m'")


def test_no_teacher_and_a_nameless_one_are_refused(tmp_path):
    check([], "ambiguous-names")
    check([teacher(tmp_path, "", 0)], "ambiguous-names")


def test_another_vocabulary_is_refused(folder):
    check(
        [of_folder("m", folder)],
        "other-vocabulary",
        "'m'",
        "280",
        "300",
        vocabulary_size=300,
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_that_is_not_finite_is_named(folder, number, dtype):
    weight = torch.ones(16, dtype=dtype)
    weight[7] = number
    change_weights(folder, model__layers__1__input_layernorm__weight=weight)
    check(
        [of_folder("m", folder)],
        "not-finite",
        "'m'",
        "model.layers.1.input_layernorm.weight",
    )


def test_a_missing_weight_is_named(folder):
    change_weights(folder, model__layers__1__mlp__up_proj__weight=None)
    check([of_folder("m", folder)], "missing-weights", "model.layers.1.mlp.up_proj.weight")


def test_a_missing_weight_is_named_also_where_the_architecture_is_known(tmp_path, folder):
    change_weights(folder, model__norm__weight=None)
    check(
        [teacher(tmp_path, "a", 0), of_folder("m", folder)],
        "missing-weights",
        "'m'",
        "model.norm.weight",
    )


def test_a_weight_of_another_shape_is_named(folder):
    change_weights(folder, model__norm__weight=torch.ones(15))
    check([of_folder("m", folder)], "missing-weights", "model.norm.weight")


def test_a_model_that_asks_for_code_of_its_own_is_refused(folder):
    change_config(folder, auto_map={"AutoModelForCausalLM": "evil.Model"})
    check([of_folder("m", folder)], "own-code")


def test_pickled_weights_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    check([of_folder("m", folder)], "no-safetensors")


def test_a_folder_without_a_config_is_refused(folder):
    (folder / "config.json").unlink()
    check([of_folder("m", folder)], "no-config")


def test_a_file_that_is_cut_short_is_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    check([of_folder("m", folder)], "broken-safetensors")


def test_a_missing_shard_is_named(tmp_path):
    tiny_model(5).save_pretrained(tmp_path / "cut", max_shard_size="20KB")
    gone = sorted((tmp_path / "cut").glob("*.safetensors"))[1]
    gone.unlink()
    check([of_folder("m", tmp_path / "cut")], "missing-shard", gone.name)
