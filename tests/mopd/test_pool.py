"""The pool answers as its teachers do, wherever their weights are, and holds one of them."""

import gc
import json
import re
import weakref

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM

from tasks.model.files import load_model
from tasks.model.kernels.norms import write_norms_by_hand
from tasks.model.log_probs import chosen_logits, pad_right
from tasks.mopd.settings import TeacherPlacement
from tasks.mopd.teacher_pool.device import ViewSlot
from tasks.mopd.teacher_pool.hidden_cache import HiddenCache
from tasks.mopd.teacher_pool.pool import TeacherPool
from tasks.mopd.teacher_pool.weights import FileWeights, _file_names
from tests.support.pool_teachers import (
    ON_DISK,
    answers,
    batch,
    change_weights,
    mapped_files,
    of_folder,
    opened,
    saved,
    teacher,
)
from tests.support.tiny_models import tiny_model

TOKENS = batch([5, 6, 7, 8], [9, 10])
PLACEMENTS = pytest.mark.parametrize("placement", list(TeacherPlacement))


def expected(model, tokens=TOKENS, temperature=1.0):
    """Return what a model that transformers itself holds would answer, with norms as in a pool."""
    with torch.no_grad():
        return chosen_logits(model.eval(), tokens, temperature)


@PLACEMENTS
def test_every_placement_answers_bit_by_bit_as_the_models_do(tmp_path, placement):
    sources = [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]
    pool = opened(sources, placement=placement, temperature=0.5)
    assert pool.names == ["a", "b", "c"]
    for name in "abcacba":
        seed = "abc".index(name)
        found = answers(pool, name, TOKENS)
        assert torch.equal(found, expected(tiny_model(seed), temperature=0.5))
        assert found.dtype == torch.float32
        assert not found.requires_grad


@PLACEMENTS
def test_teachers_of_several_architectures_and_precisions_share_a_pool(tmp_path, placement):
    wide = tiny_model(1, hidden_size=24)
    half = load_model(saved(tiny_model(2).bfloat16(), tmp_path / "rounded"))
    untied = tiny_model(3)
    untied.config.tie_word_embeddings = False
    untied.lm_head.weight = torch.nn.Parameter(untied.lm_head.weight.detach() * 2)
    gpt2 = GPT2LMHeadModel(
        GPT2Config(vocab_size=280, n_embd=16, n_layer=2, n_head=2, n_positions=96)
    ).eval()
    models = {"wide": wide, "half": half, "untied": untied, "gpt2": gpt2, "plain": tiny_model(4)}
    sources = [of_folder(name, saved(m, tmp_path / name)) for name, m in models.items()]
    pool = opened(sources, placement=placement)
    for name in ("wide", "half", "untied", "gpt2", "plain", "wide", "untied"):
        assert torch.equal(answers(pool, name, TOKENS), expected(models[name])), name


@PLACEMENTS
def test_weights_that_are_saved_in_other_pieces_are_put_together(tmp_path, placement):
    # Mixtral is saved expert by expert and computes with one tensor of all experts.
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=280,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=3,
        initializer_range=0.3,
    )
    models = {"m": MixtralForCausalLM(config).eval(), "n": MixtralForCausalLM(config).eval()}
    for model in models.values():
        write_norms_by_hand(model)
    sources = [of_folder(name, saved(m, tmp_path / name)) for name, m in models.items()]
    pool = opened(sources, placement=placement)
    for name in "mnm":
        assert torch.equal(answers(pool, name, TOKENS), expected(models[name]))


@PLACEMENTS
def test_a_config_that_asks_for_another_precision_than_the_file_has_is_heeded(tmp_path, placement):
    folder = saved(tiny_model(0), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    pool = opened([of_folder("m", folder)], placement=placement)
    assert pool.hidden("m", TOKENS).dtype == torch.bfloat16
    assert torch.equal(answers(pool, "m", TOKENS), expected(load_model(folder)))


def test_a_file_is_taken_for_the_weights_only_where_it_is_them_bit_by_bit():
    one, two = torch.ones(2), torch.tensor([1.0, 2.0])
    assert _file_names({"a": one, "twin": one}, {"a": one.clone()}) == {"a": "a", "twin": "a"}
    assert _file_names({"a": one}, {"a": two}) is None  # changed on the way
    assert _file_names({"a": one}, {"a": one.double()}) is None
    assert _file_names({"a": one}, {"b": one.clone()}) is None


def test_weights_in_several_files_are_found(tmp_path):
    tiny_model(5).save_pretrained(tmp_path / "cut", max_shard_size="20KB")
    assert len(list((tmp_path / "cut").glob("*.safetensors"))) > 1
    pool = opened([of_folder("m", tmp_path / "cut")])
    assert torch.equal(answers(pool, "m", TOKENS), expected(tiny_model(5)))


@PLACEMENTS
def test_a_teacher_that_answers_a_constant_is_not_taken_for_another(tmp_path, placement):
    sources = []
    for name, word in (("one", 11), ("two", 22)):
        model = tiny_model(0)
        with torch.no_grad():
            for parameter in model.model.layers.parameters():
                parameter.zero_()  # the layers add nothing, so the state is the embedding
            model.model.embed_tokens.weight.fill_(1.0)
        model.config.tie_word_embeddings = False
        load_head = torch.zeros(280, 16)
        load_head[word] = 1.0
        model.lm_head.weight = torch.nn.Parameter(load_head)
        sources.append(of_folder(name, saved(model, tmp_path / name)))
    pool = opened(sources, placement=placement)
    for name, word in (("one", 11), ("two", 22), ("one", 11)):
        found = answers(pool, name, TOKENS)
        # A state of ones stays ones in the RMS norm: 16 for the word, 0 for all others.
        assert found.argmax(-1).tolist() == [word] * 4
        torch.testing.assert_close(found[:, word], torch.full((4,), 16.0))
        assert found.count_nonzero() == 4


def test_a_teacher_that_is_not_there_is_not_replaced_by_another(tmp_path):
    pool = opened([teacher(tmp_path, "m", 1)])
    with pytest.raises(KeyError, match="'c'"):
        pool.hidden("c", TOKENS)
    with pytest.raises(KeyError, match="'c'"):
        pool.expect(["m", "c"])


def test_one_teachers_files_are_mapped_at_a_time(tmp_path):
    sources = [teacher(tmp_path, name, seed) for seed, name in enumerate("abcd")]
    pool = opened(sources)
    assert mapped_files(tmp_path) == []
    order = ["a", "a", "b", "c", "d"]
    pool.expect(order)
    for name in order:
        answers(pool, name, TOKENS)
        assert mapped_files(tmp_path) == [f"weights {name}"]


def test_the_last_file_is_unmapped_before_the_next_is_mapped(tmp_path):
    class Watched(FileWeights):
        def weights(self, teacher):
            seen.append(mapped_files(tmp_path))
            return super().weights(teacher)

    seen = []
    sources = [teacher(tmp_path, "a", 0), teacher(tmp_path, "wide", 1, hidden_size=24)]
    views = opened(sources)
    slot = ViewSlot(Watched(), views.counts)
    pool = TeacherPool(views._teachers, slot, ON_DISK, views.counts, views.memory)
    for name in ("a", "wide", "a"):
        answers(pool, name, TOKENS)
    assert seen == [[], [], []]


@pytest.mark.parametrize("placement", [TeacherPlacement.HOST, TeacherPlacement.RESIDENT])
def test_what_is_kept_in_memory_maps_no_file(tmp_path, placement):
    pool = opened([teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 1)], placement=placement)
    answers(pool, "a", TOKENS)
    assert mapped_files(tmp_path) == []


def test_the_last_teachers_weights_are_let_go(tmp_path):
    pool = opened([teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 1)])
    answers(pool, "a", TOKENS)
    template = pool._teachers["a"].template
    old = [weakref.ref(parameter) for parameter in template.model.parameters()]
    answers(pool, "b", TOKENS)
    gc.collect()
    assert all(reference() is None for reference in old)


@PLACEMENTS
def test_equal_shapes_under_another_config_are_another_architecture(tmp_path, placement):
    sources = [teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 0, rope_theta=5.0)]
    pool = opened(sources, placement=placement)
    assert torch.equal(answers(pool, "a", TOKENS), expected(tiny_model(0)))
    assert torch.equal(answers(pool, "b", TOKENS), expected(tiny_model(0, rope_theta=5.0)))
    assert not torch.equal(answers(pool, "a", TOKENS), answers(pool, "b", TOKENS))


def test_a_pool_holds_one_module_for_each_architecture(tmp_path):
    sources = [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]
    wide = teacher(tmp_path, "wide", 3, hidden_size=24)
    pool = opened([*sources, wide])
    assert len({id(entry.template) for entry in pool._teachers.values()}) == 2


def test_equal_checkpoints_are_loaded_once(tmp_path):
    first = teacher(tmp_path, "a", 0)
    same = of_folder("again", first.folder)
    pool = opened([first, same, teacher(tmp_path, "b", 1)])
    for name in ("a", "again", "a", "b"):
        answers(pool, name, TOKENS)
    assert pool.counts.loads == 2


def test_loads_bytes_and_hits_are_counted_and_counted_anew(tmp_path):
    sources = [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]
    pool = opened(sources)
    order = ["a", "a", "b", "c"]
    pool.expect(order)
    for name in order:
        pool._slot._reader.submit(lambda: None).result()  # the read ahead is done
        answers(pool, name, TOKENS)
    size = sum(p.nbytes for p in tiny_model(0).parameters())
    taken = pool.counts.take()
    assert taken.pop("pool/seconds_waited") > 0
    # The first of the order cannot have been read ahead; the second and third are.
    assert taken == {"pool/loads": 3, "pool/prefetch_hits": 2, "pool/bytes_read": 3 * size}
    assert set(pool.counts.take().values()) == {0.0}


def test_an_order_that_is_not_kept_changes_no_answer_and_fetches_nothing_ahead(tmp_path):
    sources = [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]
    pool = opened(sources)
    pool.expect(["a", "b", "c"])
    for name in ("c", "a", "b"):
        assert torch.equal(answers(pool, name, TOKENS), expected(tiny_model("abc".index(name))))
    assert pool._slot._ahead is None


def test_a_file_that_changes_under_the_run_stops_it(tmp_path):
    sources = [teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 1)]
    pool = opened(sources)
    change_weights(sources[1].folder, model__norm__weight=torch.full((16,), 2.0))
    with pytest.raises(RuntimeError, match=re.escape(str(sources[1].folder))):
        answers(pool, "b", TOKENS)


def test_the_memory_of_a_placement_is_estimated(tmp_path):
    sources = [teacher(tmp_path, name, seed) for seed, name in enumerate("abc")]
    size = (sources[0].folder / "model.safetensors").stat().st_size
    disk, resident = (
        opened(sources, placement=placement).memory
        for placement in (TeacherPlacement.DISK, TeacherPlacement.RESIDENT)
    )
    assert (disk.device, disk.mapped) == (0, size)
    assert (resident.device, resident.mapped) == (3 * size, 0)


def test_cached_states_are_the_teachers_own_and_need_its_head_alone(tmp_path):
    pool = opened([teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 1)])
    first, second = batch([5, 6, 7]), batch([7, 6, 5])
    asked = [("a", first), ("b", first), ("a", second)]
    direct = {(name, id(t)): answers(pool, name, t) for name, t in asked}
    answers(pool, "b", first)
    pool.counts.take()
    cache = HiddenCache(pool)
    cache.score_ahead(asked)
    assert pool.counts.take()["pool/loads"] == 2  # sorted: a is loaded once for both
    for name, tokens in asked:
        assert torch.equal(answers(cache, name, tokens), direct[name, id(tokens)])
    assert cache.hits == 3
    # 2 + 2 + 2 tokens of 16 states in fp32.
    assert cache.num_bytes == cache.estimate([("a", 2), ("b", 2), ("a", 2)]) == 6 * 16 * 4


def test_a_microbatch_that_was_not_scored_ahead_is_not_answered_from_the_cache(tmp_path):
    pool = opened([teacher(tmp_path, "a", 0), teacher(tmp_path, "b", 1)])
    cache = HiddenCache(pool)
    cache.score_ahead([("a", batch([5, 6, 7]))])
    fewer_chosen = pad_right([[5, 6, 7]], [[False, False, True]], pad_id=0)
    assert len(cache.hidden("a", fewer_chosen)) == 1
    other = cache.hidden("b", batch([5, 6, 7]))
    assert cache.hits == 0
    assert torch.equal(other, pool.hidden("b", batch([5, 6, 7])))
    cache.score_ahead([("b", batch([5, 6, 7]))])
    cache.hidden("a", batch([5, 6, 7]))
    assert cache.hits == 0  # the last step's are forgotten
