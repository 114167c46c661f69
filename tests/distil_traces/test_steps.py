"""Trace distillation as a step, its SFT into another architecture, and traces from elsewhere."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from lineage.declared import FOREIGN_TRACES, DeclaredTraces
from lineage.graph.graph import Lineage
from tasks.contracts.handover import StageLabel
from tasks.distil_traces.settings import ForeignTraces, TraceSettings, TraceSource
from tasks.distil_traces.steps import distil_traces, import_traces
from tasks.model.files import Policy, load_policy, save_policy
from tasks.rollout.domains import stored_demonstrations
from tasks.rollout.json_lines import PromptError
from tasks.sft.scratch import CHAT_TEMPLATE, make_tokenizer
from tasks.sft.settings import SftSettings
from tasks.sft.steps import finetune
from tests.support.refused import refused
from tests.support.sampled import Bench, response

ROWS = [response(f"{n}", f"p{n}", question=f"{n}+0", grade=n % 2) for n in range(20)]
SETTINGS = TraceSettings(sources=(TraceSource(name="math", weight=3.0),
                                  TraceSource(name="closed", least_score=None)))  # fmt: skip
DECLARED = DeclaredTraces(origin="Oracle 4 by ACME", license="proprietary", date="2026-10")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def closed(bench, tmp_path):
    """Return traces of a closed model, brought in from a file."""
    row = {
        "messages": [{"role": "user", "content": "9+9"}],
        "turns": [{"role": "assistant", "content": "18"}],
    }
    file = tmp_path / "closed.jsonl"
    file.write_text(json.dumps(row) + "\n")
    return import_traces(bench.runner, ForeignTraces(file=str(file), declared=DECLARED), "team")


def test_sources_are_recorded_by_name_and_share(bench, closed):
    given = bench.responses(*ROWS)
    made = distil_traces(bench.runner, [given, closed], SETTINGS, 0)
    record = bench.runner.records.read(made.record)
    assert record.kind == "traces"
    assert [(i.role, i.name, i.artifact, i.weight) for i in record.inputs] == [
        ("responses", "math", given.digest, 0.75),
        ("data", "closed", closed.digest, 0.25),
    ]
    rows = stored_demonstrations(bench.runner.store, made)
    assert sorted(int(row.turns[0].content) for row in rows) == sorted([*range(1, 20, 2), 18])
    measured = bench.metrics(made)
    assert (measured[0, "given/math"], measured[0, "selected/math"]) == (20, 10)
    assert len(rows) == 11


def test_what_is_not_a_set_of_traces_is_refused(bench, closed):
    model = bench.checkpoint().artifact
    for code, traces, settings in (
        ("other-kind", [model, closed], SETTINGS),
        ("unnamed", [closed], SETTINGS),
        ("repeated-name", [closed, closed], TraceSettings(sources=(SETTINGS.sources[0],) * 2)),
    ):
        with refused(code):
            distil_traces(bench.runner, traces, settings, 0)


@pytest.mark.medium
def test_demonstrations_train_a_student_of_another_architecture_and_tokenizer(bench, tmp_path):
    traces = distil_traces(
        bench.runner, [bench.responses(*ROWS)], TraceSettings(sources=SETTINGS.sources[:1]), 0
    )
    tokenizer = make_tokenizer(["user assistant system tool 0123456789+\n"] * 9, 300)
    tokenizer.chat_template = CHAT_TEMPLATE.replace("|im_start|>", "|im_start|> ")
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "gpt2",
        vocab_size=len(tokenizer),
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=64,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    student = Policy(AutoModelForCausalLM.from_config(config), tokenizer)
    folder = save_policy(student, tmp_path / "student")
    start = bench.recorded("checkpoint", bench.runner.store.put_tree(folder), "base")
    settings = SftSettings(num_steps=4, batch_size=4, learning_rate=1e-2, warmup_steps=0)
    label = StageLabel(name="distil", owner="team")
    made = finetune(bench.runner, start, [traces], settings, 0, label)
    trained = load_policy(bench.runner.store.tree(made.digest))
    assert trained.model.config.model_type == "gpt2"
    assert len(trained.tokenizer) == len(tokenizer)
    before = student.model.state_dict()
    moved = [name for name, value in trained.model.state_dict().items()
             if not torch.equal(value, before[name])]  # fmt: skip
    assert "transformer.wte.weight" in moved
    assert bench.inputs(made)["data", "0"] == traces.digest


# --- traces of a closed model --------------------------------------------------------------------


def test_origin_and_license_are_recorded_as_declared_and_ancestry_as_unknown(bench, closed):
    made = bench.runner.records.read(closed.record)
    assert (made.kind, made.inputs) == (FOREIGN_TRACES, ())
    assert made.settings["declared"] == {
        "origin": "Oracle 4 by ACME",
        "license": "proprietary",
        "date": "2026-10",
        "sampling": "",
        "prompts": "",
        "ancestry": "",
    }
    assert made.settings["files"].keys() == {"closed.jsonl"}
    assert bench.notes(closed)["license"] == "proprietary"
    [row] = stored_demonstrations(bench.runner.store, closed)
    assert row.turns[0].content == "18"


def test_lineage_shows_what_is_unknown_of_them_in_all_that_descends(bench, closed):
    traces = distil_traces(bench.runner, [bench.responses(*ROWS), closed], SETTINGS, 0)
    graph = Lineage(bench.runner.store).graph(traces.record)
    unknown = {node.kind: node.unknown for node in graph.nodes}
    assert unknown[FOREIGN_TRACES] == ("ancestry", "prompts", "sampling")
    assert unknown["traces"] == ()


def test_a_file_that_changed_or_another_declaration_is_another_record(bench, closed, tmp_path):
    file = tmp_path / "closed.jsonl"
    later = DECLARED.model_copy(update={"date": "2026-11"})
    other = import_traces(bench.runner, ForeignTraces(file=str(file), declared=later), "team")
    assert (other.digest == closed.digest, other.record == closed.record) == (True, False)
    file.write_text(file.read_text() * 2)
    twice = import_traces(bench.runner, ForeignTraces(file=str(file), declared=DECLARED), "team")
    assert twice.digest != closed.digest


def test_a_file_without_demonstrations_is_refused(bench, tmp_path):
    with refused("no-data-file"):
        import_traces(bench.runner, ForeignTraces(file=str(tmp_path / "x"), declared=DECLARED))
    file = tmp_path / "wrong.jsonl"
    file.write_text('{"messages": []}\n')
    with pytest.raises(PromptError, match="line 1"):
        import_traces(bench.runner, ForeignTraces(file=str(file), declared=DECLARED))
