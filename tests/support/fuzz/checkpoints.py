"""Readers of a checkpoint's files: headers, configs, indexes, chat templates."""

import struct
import tempfile
from pathlib import Path

from lineage.errors import LineageError
from lineage.store.admission import check_content
from tasks.model.rendering import TemplateError, render
from tasks.sft.scratch import CHAT_TEMPLATE
from tests.support.fuzz.fuzzing import Parser
from tests.support.fuzz.mutations import mutated_json, mutated_text

HEADER = {
    "__metadata__": {"format": "pt"},
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b.weight": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
}
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 280,
    "hidden_size": 16, "num_hidden_layers": 2, "rope_scaling": {"rope_type": "default"},
    "_attn_implementation": "sdpa", "auto_map": {}, "tie_word_embeddings": True,
}  # fmt: skip
INDEX = {"metadata": {"total_size": 9}, "weight_map": {"a": "model.safetensors", "b": "x.json"}}
SNIPPETS = [
    "{%- for i in range(99) -%}", "{% endfor %}", "{{ x.y.z }}", "{% set a = 'x' * 10 ** 9 %}",
    "{{ messages[0]['content'] | upper }}", "{{ ''.__class__ }}", "{{ raise_exception('no') }}",
    "{% if %}", "{{ 1 / 0 }}", "{{ messages | tojson }}", "{%", "}}", "{% macro a() %}{{ a() }}",
    "{% endmacro %}{{ a() }}", "{% include 'x' %}", "{{ messages + messages }}", "{# ", "\x00", "'",
    "{{ range(10 ** 9) | list }}", "{% generation %}", "{% break %}", "{{ strftime_now('%Y') }}",
]  # fmt: skip
ASKED = [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]


def content(name, build=lambda data: data):
    """Return a reader of one file of a checkpoint, which stands beside another."""
    folder = Path(tempfile.mkdtemp(prefix="provost-fuzz-"))
    (folder / "model.safetensors").write_bytes(b"")

    def parse(data):
        built = build(data)
        (folder / name).write_bytes(built)
        check_content(folder, name, len(built))

    return parse


def tensors(header):
    """Return a safetensors file of this header, with as many bytes as the whole one has."""
    return struct.pack("<Q", len(header)) + header + b"\0" * 32


def template(data):
    render(data.decode("utf-8", "replace"), ASKED, {"eos_token": "<|im_end|>"}, whose="math")


def is_template(data):
    try:
        template(data)
    except TemplateError as error:
        return "TemplateSyntaxError" not in str(error)
    return True


OURS = (LineageError,)
PARSERS = {
    "safetensors": Parser(mutated_json(HEADER), content("a.safetensors", tensors), OURS),
    "config": Parser(mutated_json(CONFIG), content("config.json"), OURS),
    "index": Parser(mutated_json(INDEX), content("model.safetensors.index.json"), OURS),
    "template": Parser(
        mutated_text(CHAT_TEMPLATE, r"[%}]}", SNIPPETS),
        template,
        (TemplateError,),
        is_template,
        limits_itself=True,
        warm_with=b"a",
    ),
}
