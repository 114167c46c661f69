"""A chat template is a program of others: it is rendered as transformers does, within limits."""

import os
import resource
import time
from pathlib import Path

import pytest

from tasks.model import rendering
from tasks.model.chat import ChatTokens
from tasks.model.rendering import TemplateError, render
from tasks.sft.scratch import CHAT_TEMPLATE
from tests.model.test_chat import ASKED, REWRITING, TRIMMING
from tests.support.tiny_models import with_template

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLING = (
    "{% set ns = namespace(x='0123456789') %}"
    "{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"
)
LONG = "{% for i in range(9999) %}{{ '0123456789' * 100 }}{% endfor %}"
THINKING = "{{ enable_thinking }} {{ reasoning_effort }} {{ eos_token }}{{ messages | tojson }}"


def rendered(template):
    return render(template, ASKED, {}, whose="math")


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, TRIMMING, REWRITING, THINKING])
@pytest.mark.parametrize("call", [{"enable_thinking": True}, {"reasoning_effort": "high"}])
def test_the_text_is_that_of_transformers(template, call):
    tokenizer = with_template(template)
    whole = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True, **call)
    call = {**tokenizer.special_tokens_map, "add_generation_prompt": True, **call}
    assert render(template, ASKED, call, whose="math") == whole


@pytest.mark.medium
@pytest.mark.parametrize("template", [ENDLESS, DOUBLING, LONG, "{{ 'a' * 10 ** 10 }}"])
def test_a_template_beyond_its_limits_fails_by_name_and_alone(template):
    began = time.monotonic()
    with pytest.raises(TemplateError, match="chat template of math"):
        rendered(template)
    assert time.monotonic() - began < 60
    assert rendered("{{ messages[1].content }}") == "12+34"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no system turn') }}",
        "{% for %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages[9].content.x }}",
        "{{ 1 / 0 }}",
        "{{ '" + "(" * 5000,
        "{{ [" * 3000 + "] }}" * 3000,
    ],
)
def test_what_a_template_raises_is_one_error(template):
    with pytest.raises(TemplateError, match="chat template of math"):
        rendered(template)


def test_chat_tokens_have_the_templates_limits():
    with pytest.raises(TemplateError):
        ChatTokens(with_template(DOUBLING))


def test_the_process_sees_no_variable_of_ours(monkeypatch):
    from tasks.model import rendering

    monkeypatch.setenv("PROVOST_SIGNING_KEY", "secret")
    renderer = rendering._Renderer()
    renderer.prepare()
    child = renderer._child
    assert b"PROVOST" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    renderer.close()
    assert child.returncode is not None


@pytest.fixture
def no_renderer():
    """The renderer of this process is not running, before and after."""
    rendering._renderer(os.getpid()).close()
    yield
    rendering._renderer(os.getpid()).close()


@pytest.mark.medium
def test_a_process_that_is_prepared_is_the_one_that_renders(no_renderer, monkeypatch):
    monkeypatch.setattr(rendering, "_line", None)  # nothing waits for it
    rendering.prepare()
    rendering.prepare()
    child = rendering._renderer(os.getpid())._child
    monkeypatch.undo()
    assert rendered("{{ messages[1].content }}") == "12+34"
    assert rendering._renderer(os.getpid())._child is child


@pytest.mark.medium
def test_a_process_with_many_open_files_renders_too(no_renderer):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2048)), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert rendered("{{ messages[1].content }}") == "12+34"
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.medium
@pytest.mark.parametrize("at", [1, 2], ids=["start", "answer"])
def test_after_an_interrupt_the_next_answer_is_to_the_next_question(at, no_renderer, monkeypatch):
    real, calls = rendering._line, []

    def line(child, seconds):
        calls.append(seconds)
        if len(calls) == at:
            raise KeyboardInterrupt
        return real(child, seconds)

    monkeypatch.setattr(rendering, "_line", line)
    with pytest.raises(KeyboardInterrupt):
        rendered("first")
    assert rendered("second") == "second"
