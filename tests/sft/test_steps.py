"""The supervised steps: what makes a derivation another one, and what comes of making it."""

import json
from types import SimpleNamespace

import pytest
import torch

from lineage.artifacts import Artifact
from lineage.store.store import open_store
from tasks.contracts.handover import StageLabel
from tasks.model.chat import ChatTokens
from tasks.model.files import load_policy, save_policy
from tasks.model.settings import Precision
from tasks.platform.step_runner import StepRunner as RecordingRunner
from tasks.rollout.domains import stored_demonstrations, stored_texts
from tasks.rollout.environment import Demonstration, Message, Turn
from tasks.rollout.prompts import write_demonstrations
from tasks.sft.scratch import documents
from tasks.sft.settings import BaseSettings, SftSettings, TextMix
from tasks.sft.steps import finetune, make_base, make_text
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_models import SIZES, tiny_policy, tokenizer

SETTINGS = SftSettings(num_steps=10, batch_size=4, learning_rate=1e-2, warmup_steps=0)
BASE = BaseSettings(scratch=SIZES, num_documents=60, row_tokens=16, training=SETTINGS)
STAGE = StageLabel(name="math sft", owner="team-math")


class StepRunner:
    """A runner that keeps no records: it makes what is asked for into a folder, every time."""

    project = "local"

    def __init__(self, folder):
        self.store, self.folder, self.derivations = open_store(), folder, []
        self.measured, self.owner = [], None

    def find_or_make(self, derivation, kind, make, owner):
        self.derivations.append(derivation)
        self.owner = owner
        place = self.folder / str(len(self.derivations))
        place.mkdir(parents=True)
        measurements = SimpleNamespace(
            add=lambda step, metrics: self.measured.append(step), notes={}
        )
        return Artifact(kind=kind, digest=self.store.put_tree(make(place, measurements)))

    def weights(self, artifact):
        return load_policy(self.store.tree(artifact.digest)).model.state_dict()


@pytest.fixture
def runner(tmp_path):
    return StepRunner(tmp_path / "made")


@pytest.fixture
def start(runner, tmp_path):
    digest = runner.store.put_tree(save_policy(tiny_policy(0), tmp_path / "start"))
    return Artifact(kind="checkpoint", digest=digest)


@pytest.fixture
def data(runner, tmp_path):
    rows = [
        Demonstration((Message("user", f"{n}+{n}"),), (Turn("assistant", str(2 * n)),))
        for n in range(10, 30)
    ]
    write_demonstrations(tmp_path / "rows.jsonl", rows)
    digest = runner.store.put_file(tmp_path / "rows.jsonl")
    return [Artifact(kind="dataset", digest=digest)]


def differ(first, second):
    """Say whether any weight differs."""
    return any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_fine_tuned_model_is_another_and_the_same_again_from_the_same_seed(runner, start, data):
    first, again, other = (
        runner.weights(finetune(runner, start, data, SETTINGS, seed, STAGE)) for seed in (0, 0, 1)
    )
    assert differ(runner.weights(start), first)
    assert not differ(first, again)
    assert differ(first, other)
    assert runner.measured == [10] * 3
    assert runner.owner == "team-math"


def test_a_derivation_of_fine_tuning_names_what_it_depends_on_and_nothing_else(runner, start, data):
    other = Artifact(kind="dataset", digest="sha256:" + "d" * 64)
    renamed = StageLabel(name="other", owner="somebody")
    slower = SETTINGS.model_copy(update={"learning_rate": 1e-3})

    def derivation(begin, rows, settings, seed, stage):
        runner.find_or_make = lambda made, *_: runner.derivations.append(made) or begin
        finetune(runner, begin, rows, settings, seed, stage)
        return runner.derivations[-1]

    plain = derivation(start, data, SETTINGS, 0, STAGE)
    assert derivation(start, data, SETTINGS, 0, renamed) == plain
    changed = [
        derivation(start.model_copy(update={"digest": other.digest}), data, SETTINGS, 0, STAGE),
        derivation(start, [other], SETTINGS, 0, STAGE),
        derivation(start, [*data, other], SETTINGS, 0, STAGE),
        derivation(start, data, slower, 0, STAGE),
        derivation(start, data, SETTINGS, 1, STAGE),
    ]
    assert len({made.digest() for made in [plain, *changed]}) == 6
    assert [(given.role, given.artifact) for given in plain.inputs] == [
        ("start", start.digest),
        ("data", data[0].digest),
    ]


@pytest.mark.medium
def test_text_is_an_input_of_its_own_and_is_learned_beside_the_demonstrations(runner, start, data):
    text = make_text(RecordingRunner(mirror=MemoryMirror()), 60, 0)
    one = SETTINGS.model_copy(update={"num_steps": 1})
    mixed = one.model_copy(update={"text": TextMix(share=0.5, row_tokens=8)})
    plain = runner.weights(finetune(runner, start, data, one, 0, STAGE))
    assert differ(plain, runner.weights(finetune(runner, start, [*data, text], mixed, 0, STAGE)))
    assert [(given.role, given.artifact) for given in runner.derivations[-1].inputs] == [
        ("start", start.digest),
        ("data", data[0].digest),
        ("text", text.digest),
    ]
    assert "text" not in runner.derivations[0].settings  # records of before are found


def test_a_reward_model_as_start_and_responses_as_data_are_refused(runner, start, data):
    reward_model = start.model_copy(update={"kind": "reward_model"})
    responses = data[0].model_copy(update={"kind": "responses"})
    for given in ((reward_model, data), (start, [*data, responses])):
        with refused("other-kind"):
            finetune(runner, *given, SETTINGS, 0, STAGE)
    assert runner.derivations == []


def test_text_of_the_bases_kind_follows_the_seed(home):
    runner = RecordingRunner(mirror=MemoryMirror())
    first, again, other = (make_text(runner, 20, seed) for seed in (0, 0, 1))
    assert first.kind == "text"
    assert first.digest == again.digest != other.digest
    read = stored_texts(runner.store, first)
    assert [document.text for document in read] == list(documents(20, 0))


def test_a_base_is_copied_from_a_hugging_face_folder(runner, tmp_path):
    source = save_policy(tiny_policy(5), tmp_path / "somebody's model")
    made = make_base(runner, str(source), [], BASE, seed=0)
    assert not differ(runner.weights(made), tiny_policy(5).model.state_dict())
    loaded = load_policy(runner.store.tree(made.digest)).tokenizer
    assert loaded.chat_template == tokenizer().chat_template


def test_a_base_from_a_folder_that_changed_is_another_base(runner, tmp_path):
    source = save_policy(tiny_policy(5), tmp_path / "model")
    make_base(runner, str(source), [], BASE, seed=0)
    save_policy(tiny_policy(6), source)
    make_base(runner, str(source), [], BASE, seed=0)
    before, after = runner.derivations
    assert before.digest() != after.digest()


@pytest.mark.medium
def test_a_base_from_scratch_learns_from_text_follows_the_seed_and_holds_no_pickle(runner, data):
    first, again, other = (make_base(runner, "", data, BASE, seed) for seed in (0, 0, 1))
    assert first.digest == again.digest
    assert first.digest != other.digest
    loaded = load_policy(runner.store.tree(first.digest))
    assert loaded.model.config.hidden_size == SIZES.hidden_size
    assert len(loaded.tokenizer) == SIZES.vocabulary_size
    assert loaded.tokenizer.chat_template == tokenizer().chat_template
    folder = runner.store.tree(first.digest)
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}
    assert "auto_map" not in json.loads((folder / "config.json").read_text())


@pytest.mark.medium
def test_a_base_that_reads_the_demonstrations_learns_to_answer(runner, data):
    read = {"reads_demonstrations": True, "num_documents": 1, "row_tokens": 64}
    longer = SETTINGS.model_copy(update={"num_steps": 60})
    alone, chats = (
        make_base(runner, "", data, BASE.model_copy(update={**changed, "training": longer}), 0)
        for changed in ({}, read)
    )
    chat = ChatTokens(load_policy(runner.store.tree(chats.digest)).tokenizer)
    (example, *_) = stored_demonstrations(runner.store, data[0])
    tokens = chat.demonstration(
        [vars(m) for m in example.messages], [(t.role, t.content) for t in example.turns]
    )
    said = torch.tensor(tokens.is_response[1:])
    ids = torch.tensor([tokens.ids])

    def loss(base):
        model = load_policy(runner.store.tree(base.digest)).model
        logits = model(ids).logits[0, :-1].log_softmax(-1)
        return -logits.gather(-1, ids[0, 1:, None])[said].mean().item()

    assert loss(chats) < loss(alone) - 1.0


@pytest.mark.medium
def test_a_checkpoint_in_bf16_is_trained_in_fp32_and_saved_as_chosen(runner, start, data):
    short = SETTINGS.model_copy(update={"num_steps": 1})
    half = short.model_copy(update={"saved_precision": Precision.BF16})
    saved = finetune(runner, start, data, half, 0, STAGE)
    whole = finetune(runner, start, data, short, 0, STAGE)
    first, second = runner.weights(saved), runner.weights(whole)
    assert all(torch.equal(first[name], second[name].bfloat16()) for name in first)
    assert "saved_precision" not in runner.derivations[-1].settings
    assert runner.derivations[-2].settings["saved_precision"] == "bf16"
    # A step of 1e-2 from bf16 weights ends between the numbers that bf16 has.
    again = runner.weights(finetune(runner, saved, data, short, 0, STAGE))
    assert all(tensor.dtype == torch.float32 for tensor in again.values())
    assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in again.values())
