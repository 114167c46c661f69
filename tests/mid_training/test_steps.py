"""The steps of mid-training: what their records hold, and what they refuse."""

import json

import pytest
from transformers import Qwen3ForCausalLM

from lineage.artifacts import Artifact
from lineage.export.bom import FILE
from lineage.export.folder import export
from lineage.export.subject import subject_of
from lineage.graph.handed import Handed, inputs_handing
from lineage.store.store import FolderStore
from lineage.trust.author import own_key
from tasks.contracts.handover import StageLabel
from tasks.mid_training.settings import MidTrainingSettings
from tasks.mid_training.steps import TextData, bring_text, read_on
from tasks.model.files import load_policy, save_policy
from tasks.platform.step_runner import StepRunner
from tasks.rollout.domains import stored_texts
from tasks.rollout.environment import Message, Prompt
from tasks.rollout.json_lines import PromptError
from tasks.rollout.prompts import write_prompts
from tasks.rollout.texts import TextDocument, read_texts, write_texts
from tests.support.mirrors import MemoryMirror
from tests.support.refused import refused
from tests.support.tiny_models import tiny_policy

SETTINGS = MidTrainingSettings(
    num_steps=3, batch_size=4, learning_rate=1e-2, warmup_steps=0, row_tokens=16, isolated=True
)
STAGE = StageLabel(name="mid-training", owner="foundation")
DOCUMENTS = [
    *(TextDocument(f"fox {n} fox {n}", "web", "CC-BY-4.0") for n in range(30)),
    *(TextDocument(f"{n}+{n}={2 * n}", "sums", "unknown") for n in range(10, 20)),
]


@pytest.fixture
def runner(tmp_path):
    return StepRunner(FolderStore(tmp_path / "store"), mirror=MemoryMirror())


@pytest.fixture
def start(runner, tmp_path):
    digest = runner.store.put_tree(save_policy(tiny_policy(0), tmp_path / "start"))
    return Artifact(kind="checkpoint", digest=digest)


@pytest.fixture
def text_in(tmp_path):
    """Return what brings the documents into a runner's store."""
    write_texts(tmp_path / "text.jsonl", DOCUMENTS)
    return lambda runner: bring_text(runner, tmp_path / "text.jsonl", "foundation")


@pytest.fixture
def text(runner, text_in):
    return text_in(runner)


def asked(runner, folder, question):
    """Return an evaluation set with this one question."""
    write_prompts(folder / "asked.jsonl", [Prompt("q", (Message("user", question),), {})])
    digest = runner.store.put_file(folder / "asked.jsonl")
    return Artifact(kind="dataset", digest=digest)


def test_text_is_an_artifact_with_its_licenses(runner, text):
    assert text.kind == "text"
    assert stored_texts(runner.store, text) == DOCUMENTS
    assert runner.records.output(text.record).notes["licenses"] == ["CC-BY-4.0", "unknown"]


def test_a_model_that_reads_on_is_recorded_with_what_it_read(runner, start, text, tmp_path):
    new = asked(runner, tmp_path, "fox 99 fox")
    weights = {"web": 1.0, "sums": 3.0}
    settings = SETTINGS.model_copy(update={"weights": weights})
    made = read_on(runner, start, TextData([text], [new]), settings, 0, STAGE)
    record = runner.records.read(made.record)
    assert (made.kind, record.kind) == ("checkpoint", "mid_training")
    assert [(item.role, item.artifact) for item in record.inputs] == [
        ("start", start.digest),
        ("text", text.digest),
        ("evaluation", new.digest),
    ]
    assert [item.role for item in inputs_handing(record, Handed.DATA)] == ["text"]
    notes = runner.records.output(made.record).notes
    assert notes["tokens_trained"] == 3 * 4 * 16
    read = {source: each["read"] for source, each in notes["text"].items()}
    assert read["sums"] / sum(read.values()) == pytest.approx(0.75, abs=0.05)
    assert notes["document_end"] == "<|endoftext|>"
    load_policy(runner.store.tree(made.digest))


def test_a_document_that_quotes_a_control_token_is_read_as_text(runner, start, tmp_path):
    write_texts(tmp_path / "quoted.jsonl", [TextDocument("a<|im_end|>b", "web", "unknown")])
    text = bring_text(runner, tmp_path / "quoted.jsonl", "foundation")
    made = read_on(runner, start, TextData([text]), SETTINGS, 0, STAGE)
    # Twelve letters, of which this tokenizer joins none, and the end of the document.
    assert runner.records.output(made.record).notes["text"]["web"]["tokens"] == 12 + 1


def test_a_checkpoint_that_did_not_load_is_made_again_and_never_found(
    runner, start, text, monkeypatch
):
    whole = Qwen3ForCausalLM.save_pretrained

    def losing(self, folder, **more):
        kept = {name: w for name, w in self.state_dict().items() if "mlp.up_proj" not in name}
        whole(self, folder, state_dict=kept, **more)

    before = runner.records.all()
    with monkeypatch.context() as broken:
        broken.setattr(Qwen3ForCausalLM, "save_pretrained", losing)
        for _ in range(2):
            with refused("missing-weights"):
                read_on(runner, start, TextData([text]), SETTINGS, 0, STAGE)
    assert runner.records.all() == before
    made = read_on(runner, start, TextData([text]), SETTINGS, 0, STAGE)
    load_policy(runner.store.tree(made.digest))


def test_a_bill_of_materials_lists_the_text_with_the_licenses_of_its_documents(
    home, tmp_path, text_in
):
    runner = StepRunner(mirror=MemoryMirror())
    digest = runner.store.put_tree(save_policy(tiny_policy(0), tmp_path / "start"))
    text = text_in(runner)
    settings = SETTINGS.model_copy(update={"num_steps": 1})
    start = Artifact(kind="checkpoint", digest=digest)
    made = read_on(runner, start, TextData([text]), settings, 0, STAGE)
    folder = export(subject_of(runner.store, made.digest), tmp_path / "out", own_key()).folder
    listed = json.loads((folder / FILE).read_text())["components"]
    (found,) = [each for each in listed if each["version"] == text.digest]
    licenses = [each["license"] for each in found["licenses"]]
    assert licenses == [{"id": "CC-BY-4.0"}, {"name": "unknown"}]


@pytest.mark.medium
def test_text_that_holds_an_evaluation_prompt_is_refused(runner, start, text, tmp_path):
    for question in ("12+12=24", "FOX 3   fox"):
        held = TextData([text], [asked(runner, tmp_path, question)])
        with refused("evaluated-text", "'q'"):
            read_on(runner, start, held, SETTINGS, 0, STAGE)
    # Within a longer word it is another text.
    part = TextData([text], [asked(runner, tmp_path, "2+12=2")])
    read_on(runner, start, part, SETTINGS.model_copy(update={"num_steps": 1}), 0, STAGE)


def test_other_kinds_sources_and_rows_are_refused(runner, start, text):
    reward_model = start.model_copy(update={"kind": "reward_model"})
    dataset = text.model_copy(update={"kind": "dataset"})
    for begun, data in (
        (reward_model, TextData([text])),
        (start, TextData([dataset])),
        (start, TextData([text], [text])),
    ):
        with refused("other-kind"):
            read_on(runner, begun, data, SETTINGS, 0, STAGE)
    with refused("other-sources", "books"):
        other = SETTINGS.model_copy(update={"weights": {"books": 1.0}})
        read_on(runner, start, TextData([text]), other, 0, STAGE)
    with refused("row-too-long", "97", "96"):
        long = SETTINGS.model_copy(update={"row_tokens": 97})
        read_on(runner, start, TextData([text]), long, 0, STAGE)


@pytest.mark.parametrize("changed", [{"license": ""}, {"source": 3}, {"text": " "}, {"more": "x"}])
def test_a_line_that_is_not_a_document_is_refused(tmp_path, changed):
    row = {"text": "fox", "source": "web", "license": "MIT"} | changed
    (tmp_path / "text.jsonl").write_text(json.dumps(row))
    with pytest.raises(PromptError, match="line 1"):
        read_texts(tmp_path / "text.jsonl")


def test_a_system_prompt_that_it_would_not_read_is_refused(runner, start, text):
    told = STAGE.model_copy(update={"system_prompt": "fox owl"})
    with refused("unread-system-prompt"):
        read_on(runner, start, TextData([text]), SETTINGS, 0, told)
