"""The prose of product and pages stays plain: few avoided words, and fields that read alone."""

import re

import click
import pytest

from tests.support.project_files import files_of_benchmarks, package_files, relative
from tests.support.prose import (
    AVOIDED,
    BRITISH,
    MOST_PER_10_000,
    Text,
    drawn,
    errors,
    fragments,
    helps,
    names_of_tests,
    num_words,
    page_texts,
    places,
    product_texts,
    rates,
    texts_of,
)
from workflows.cli import main

MODULE = '''
class Settings:
    """Numbers that nobody asked for."""

    share: float
    """Of the loss."""
    rank: int
    """Rank of the adapters, whose scale is alpha."""


def check(rank):
    """Refuse a rank below one."""
    # told once
    if rank < 1:
        raise ValueError(f"{rank} is no rank: give at least 1")
'''


@pytest.fixture(scope="module")
def product():
    return list(product_texts())


@pytest.fixture(scope="module")
def pages():
    return list(page_texts())


@pytest.fixture(scope="module")
def names():
    return list(names_of_tests())


@pytest.fixture(scope="module")
def readable():
    return [*helps(), *errors()]


@pytest.mark.parametrize("word", AVOIDED)
def test_the_product_hardly_uses_an_avoided_word(product, word):
    assert rates(product)[word] <= MOST_PER_10_000, places(product, AVOIDED[word])


@pytest.mark.parametrize("word", AVOIDED)
def test_the_pages_hardly_use_an_avoided_word(pages, word):
    assert rates(pages)[word] <= MOST_PER_10_000, places(pages, AVOIDED[word])


@pytest.mark.parametrize("pattern", [*AVOIDED.values(), BRITISH])
def test_test_names_use_the_words_of_the_glossary(names, pattern):
    assert len(names) > 1000
    assert places(names, pattern) == []


def test_british_spelling_is_recognized():
    texts = [Text(word, word) for word in ("flavours", "behaviour", "normalised", "raises", "four")]
    assert places(texts, BRITISH) == ["flavours", "behaviour", "normalised"]


def test_names_in_the_code_have_american_spelling():
    """``codespell`` reads words; a name such as ``num_colors`` is one word to it."""
    found = {
        relative(file): words
        for file in [*package_files(), *files_of_benchmarks()]
        if (words := re.findall(BRITISH, file.read_text(), re.IGNORECASE))
    }
    assert found == {
        "lineage/mirror/run_view.py": ["behaviours", "behaviours"],
        "lineage/frozen.py": [
            "behaviours",
            *["normalisation", "normalised"],
            "release_least_normalised",
        ],
    }


def test_every_docstring_of_a_field_reads_alone(product):
    assert fragments(product) == []


def test_strings_docstrings_comments_and_templates_are_counted(product):
    assert num_words(product) > 50_000
    assert any(text.where.endswith("gate.html.j2") for text in product)
    texts = list(texts_of("m.py", MODULE))
    assert {name for name in AVOIDED if places(texts, AVOIDED[name])} == {
        "asked", "nobody", "told", "whose, whom", "is no, are none",
    }  # fmt: skip
    assert fragments(texts) == ["m.py:6"]


def test_a_rate_is_uses_per_10_000_words():
    texts = [Text("a", "nobody " * 3 + "word " * 997)]
    assert rates(texts)["nobody"] == pytest.approx(30.0)


def test_the_same_seed_draws_the_same_texts(readable):
    texts = readable
    first = drawn(texts, 50, 15)
    again = drawn(reversed(texts), 50, 15)
    assert [text.words for text in first] == [text.words for text in again]
    assert len({text.words for text in first}) == 50
    assert first != drawn(texts, 50, 16)


def test_errors_name_their_values_and_helps_come_from_commands_and_settings(readable):
    assert any("{digest}" in text.words for text in readable)
    assert any(text.where.startswith("workflows/commands/") for text in readable)
    assert any(text.where.startswith("tasks/mopd/launch_form.py") for text in readable)


def test_every_option_of_a_command_has_a_help_text():
    def bare(command: click.Command, path: str) -> list[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            children = {name: command.get_command(context, name) for name in names}
            return [each for name in names for each in bare(children[name], f"{path} {name}")]
        options = [each for each in command.params if isinstance(each, click.Option)]
        return [f"{path} {each.opts[0]}" for each in options if not each.help and not each.hidden]

    assert bare(main, "provost") == []
