"""A model from elsewhere is what its config says, and each of its ids is a token."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from tasks.model.bring_in import bring_in, source_folder
from tasks.model.files import Policy, load_model, load_policy, save_policy
from tasks.model.hub import snapshot_of
from tasks.model.lora import add_adapter, save_adapter
from tasks.model.settings import AdapterSettings
from tests.support.refused import refused
from tests.support.tiny_models import tiny_model, tiny_policy, tokenizer


@pytest.fixture
def folder(tmp_path):
    return save_policy(tiny_policy(seed=3), tmp_path / "model")


@pytest.fixture
def refuses(folder, tmp_path):
    """Say that the folder is refused with a code, and that nothing of it is copied."""

    def check(code, *names, place=folder):
        with refused(code, *names):
            bring_in(place, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    return check


def configured(folder, **changed):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def test_a_folder_without_weights_is_refused(folder, refuses):
    (folder / "model.safetensors").unlink()
    refuses("no-weights", str(folder))


def test_a_folder_without_config_is_refused(folder, refuses):
    (folder / "config.json").unlink()
    refuses("no-config", "config.json")


def test_a_gguf_file_and_a_folder_with_one_are_refused(folder, refuses, tmp_path):
    (folder / "model.safetensors").rename(folder / "model.Q4_1.gguf")
    refuses("gguf-weights", "model.Q4_1.gguf")
    with refused("gguf-weights", "model.Q4_1.gguf"):
        source_folder(str(folder / "model.Q4_1.gguf"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model_world_size_2_rank_0.pt"])
def test_pickles_are_refused(folder, refuses, name):
    (folder / "model.safetensors").rename(folder / name)
    refuses("pickled-weights", name)


def test_an_adapter_is_refused_as_a_model_also_beside_one(folder, refuses, tmp_path):
    model, settings = tiny_model(), AdapterSettings(rank=2, alpha=4)
    add_adapter(model, settings)
    weights = {name: w for name, w in model.named_parameters() if ".lora_" in name}
    save_adapter(weights, settings, tmp_path / "adapter")
    refuses("adapter-as-model", "merge_and_unload", place=tmp_path / "adapter")
    shutil.copy(tmp_path / "adapter" / "adapter_config.json", folder)
    refuses("adapter-as-model", str(folder))
    with refused("adapter-as-model", str(folder)):
        load_model(folder)


def test_missing_weights_are_refused_and_not_drawn_at_random(folder, refuses):
    configured(folder, num_hidden_layers=3, layer_types=["full_attention"] * 3)
    refuses("missing-weights", "model.layers.2")


def test_weights_without_a_place_in_the_config_are_refused(folder, refuses):
    configured(folder, num_hidden_layers=1, layer_types=["full_attention"])
    refuses("unused-weights", "model.layers.1")


def test_weights_of_another_shape_than_the_config_are_refused(folder, refuses):
    configured(folder, intermediate_size=24)
    refuses("missing-weights", "mlp")


def test_a_folder_without_tokenizer_is_refused(folder, refuses):
    for file in folder.glob("tokenizer*"):
        file.unlink()
    refuses("no-tokenizer", str(folder))


def test_a_path_without_a_folder_is_refused_and_not_looked_for_on_the_hub(tmp_path):
    for text in (str(tmp_path / "none"), "./no-such-folder", "~/no-such-folder"):
        with refused("no-folder", text):
            source_folder(text)
    assert source_folder("org/model") is None


@pytest.mark.parametrize("kept", [0.0, 0.5], ids=["empty", "truncated"])
def test_weights_that_cannot_be_read_are_refused_by_file(folder, refuses, kept):
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])
    refuses("broken-safetensors", str(file))
    with refused("broken-safetensors", str(file)):
        load_model(folder)


def test_weights_of_a_model_that_also_sees_that_cannot_be_read_are_refused(tmp_path, refuses):
    folder = tmp_path / "whole"
    gemma().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"no tensors")
    refuses("broken-safetensors", "model.safetensors", place=folder)


@pytest.mark.parametrize("text", ["{}", "no JSON"])
def test_an_unreadable_tokenizer_is_refused(folder, refuses, text):
    (folder / "tokenizer.json").write_text(text)
    refuses("unreadable-tokenizer", str(folder))


def test_ids_without_a_token_between_others_are_refused(tmp_path, refuses):
    words = {"<end>": 0, "a": 1, "b": 2, "d": 4, "e": 7}  # 3, 5 and 6 are no token
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="a")), eos_token="<end>"
    )
    policy = Policy(tiny_model(vocab_size=8), made)
    refuses("ids-without-token", "3 ids", "[3, 5, 6]", place=save_policy(policy, tmp_path / "gaps"))


def test_an_unreadable_config_is_refused(folder, refuses):
    configured(folder, model_type="no-such-architecture")
    refuses("unreadable-config", "no-such-architecture")


def test_a_config_that_contradicts_itself_is_refused(folder, refuses):
    configured(folder, num_hidden_layers=3)
    refuses("unreadable-config", "layer_types")


def test_rows_beyond_the_tokenizer_are_trimmed_and_the_rest_is_unchanged(tmp_path):
    policy = tiny_policy(seed=3)
    ids = torch.tensor([[5, 9, 40]])
    with torch.no_grad():
        before = policy.model(ids).logits
        policy.model.resize_token_embeddings(344, mean_resizing=False)
    folder = save_policy(policy, tmp_path / "padded")
    brought = bring_in(folder, tmp_path / "copy")
    assert brought.notes == {"trimmed_rows": [280, 344], "saved": {"precision": "fp32"}}
    found = load_policy(brought.folder).model
    assert found.config.vocab_size == 280
    with torch.no_grad():
        torch.testing.assert_close(found(ids).logits, before, rtol=0, atol=1e-5)


def test_a_tokenizer_with_more_ids_than_rows_is_refused_with_both_numbers(tmp_path, refuses):
    policy = tiny_policy(seed=3)
    policy.model.resize_token_embeddings(272)
    refuses("tokenizer-larger-than-model", "279", "272", place=save_policy(policy, tmp_path / "m"))


PARTS = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "vocab_size": 280,
    "max_position_embeddings": 96,
}
SEES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "image_size": 16}


def gemma():
    sees = SEES | {"num_attention_heads": 2, "patch_size": 8}
    config = Gemma3Config(text_config=PARTS, vision_config=sees, mm_tokens_per_image=4)
    return Gemma3ForConditionalGeneration(config)


def mistral():
    sees = SEES | {"model_type": "pixtral", "num_attention_heads": 2, "patch_size": 8}
    text = PARTS | {"model_type": "mistral"}
    return Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=sees))


@pytest.mark.parametrize("make", [gemma, mistral])
def test_of_a_model_that_also_sees_the_language_model_is_kept(tmp_path, make):
    torch.manual_seed(0)
    whole = make().eval()
    whole.save_pretrained(tmp_path / "whole")
    tokenizer().save_pretrained(tmp_path / "whole")
    brought = bring_in(tmp_path / "whole", tmp_path / "copy")
    assert type(whole.config).__name__ in brought.notes["part"]
    found = load_model(brought.folder).eval()
    assert found.config.get_text_config() is found.config
    ids = torch.tensor([[5, 9, 40, 7]])
    with torch.no_grad():
        logits = whole(input_ids=ids).logits
        torch.testing.assert_close(found(ids).logits, logits, rtol=0, atol=1e-5)


class _Hub(BaseHTTPRequestHandler):
    """Answers as the Hub does for a gated model, a revision or a model that does not exist."""

    def do_HEAD(self):
        known = {"gated": "GatedRepo", "known": "RevisionNotFound"}
        code = next((code for name, code in known.items() if name in self.path), "RepoNotFound")
        self.send_response(403 if code == "GatedRepo" else 404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    server = HTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_gated_model_and_an_unknown_one_are_refused_by_name(hub):
    with refused("gated-model", "org/gated", "HF_TOKEN"):
        snapshot_of("org/gated", endpoint=hub)
    with refused("unknown-model", "org/none@v2"):
        snapshot_of("org/none", "v2", endpoint=hub)
    with refused("unknown-model", "not a name"):
        snapshot_of("not a name")


def test_an_unknown_revision_of_a_known_model_is_refused_by_its_name(hub):
    with refused("unknown-revision", "org/known", "'v9'"):
        snapshot_of("org/known", "v9", endpoint=hub)


def test_a_gated_model_without_network_is_refused_with_the_way_round(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with refused("hub-out-of-reach", "org/gated", "hf download org/gated"):
        snapshot_of("org/gated", endpoint="http://127.0.0.1:9")
