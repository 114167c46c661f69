"""Teachers that several ranks hold together answer as they do in one process."""

import json

import peft
import pytest
import torch
from safetensors.torch import load_file

from tasks.model.files import load_model
from tasks.mopd.teacher_pool.checkpoint import CheckpointFolder
from tests.onpolicy.test_parallel import run
from tests.support import zoo
from tests.support.pool_teachers import answers, digest_folder, of_folder, opened, saved
from tests.support.ranks_teachers import SETTINGS, requests
from tests.support.tiny_models import tiny_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(  # PEFT's, of transformers
        "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
    ),
]


def adapted(base, folder):
    """Return the folder of an adapter over a base, its head adapted too."""
    told = peft.LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "down_proj"])
    made = peft.get_peft_model(load_model(base), told)
    torch.manual_seed(5)
    for name, parameter in made.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Teachers of four architectures: tied, untied in bf16, experts, and an adapter over the first.

    Sizes are such that no parameter can be cut evenly into four.
    """
    folder = tmp_path_factory.mktemp("teachers")
    untied = tiny_model(2, hidden_size=24)
    untied.config.tie_word_embeddings = False
    untied.lm_head.weight = torch.nn.Parameter(untied.lm_head.weight.detach() * 0.9)
    tied = saved(tiny_model(0), folder / "tied")
    base = CheckpointFolder(digest_folder(tied), tied)
    made = {
        "tied": of_folder("tied", tied),
        "untied": of_folder("untied", saved(untied, folder / "untied")),
        "experts": of_folder("experts", saved(zoo.tiny("qwen3-moe"), folder / "experts")),
        "sigmoid": of_folder("sigmoid", saved(zoo.tiny("glm4-moe"), folder / "sigmoid")),
        "adapted": of_folder("adapted", adapted(tied, folder / "adapter"), base),
        "other": of_folder("other", saved(tiny_model(3), folder / "other")),
    }
    return list(made.values())


def tell(folder, teachers):
    folder.mkdir()
    told = [
        {
            "name": source.name,
            "digest": source.digest,
            "folder": str(source.folder),
            "base": [source.base.digest, str(source.base.folder)] if source.base else None,
        }
        for source in teachers
    ]
    (folder / "teachers.json").write_text(json.dumps(told))


@pytest.mark.parametrize("ranks", [2, 4])
def test_sharded_teachers_answer_as_in_one_process(teachers, tmp_path, ranks):
    tell(tmp_path / "told", teachers)
    run("ranks_teachers.py", ranks, tmp_path / "told")
    pool = opened(teachers, temperature=SETTINGS.temperature)
    names = [source.name for source in teachers]
    for of_rank in range(ranks):
        found = load_file(tmp_path / "told" / f"logits-{of_rank}")
        wanted = requests(names, of_rank, ranks)
        assert len(found) == len(wanted) > 0
        for number, (name, tokens) in enumerate(wanted):
            expected = answers(pool, name, tokens)
            assert float((found[str(number)] - expected).abs().max()) <= 1e-5 * float(
                expected.abs().max()
            )
        told = json.loads((tmp_path / "told" / f"told-{of_rank}.json").read_text())
        assert_one_is_held(told, pool, teachers, ranks)


def assert_one_is_held(told, pool, teachers, ranks):
    """Each rank holds about its share of one teacher's body, and nothing of the others'."""
    held = {name: size for name, size in told["held"].items() if size}
    [architecture] = {pool._teachers[name].template for name in held}
    whole = sum(architecture._empty[name].nbytes for name in architecture.body_names)
    assert max(held.values()) < 1.3 * whole / ranks
    # Six names are five sets of weights, which two steps load in turn; four, one of each
    # architecture, were loaded before, for their logits to be checked.
    assert told["counts"]["pool/loads"] <= 4 + 2 * len({s.weights.digest for s in teachers})
