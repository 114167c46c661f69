"""The pages for people: every link and picture is there, and every command is one."""

import re

import click
import pytest

from tests.support.project_files import ROOT
from workflows.cli import main

PAGES = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#([^)\s]+))?\)")
COMMAND = re.compile(r"^provost ([a-z][^#\n]*)", re.MULTILINE)


def headings(page):
    """Return the anchors of a page's headings, as a renderer makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        if "://" in target:
            continue
        file = (page.parent / target).resolve()
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in headings(file), f"{page.name} links to {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page):
    for line in COMMAND.findall(page.read_text("utf-8")):
        command, words = main, line.split()
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            found = command.get_command(click.Context(command), name)
            assert found is not None, f"{page.name}: `provost {line}` names no command"
            command = found
        known = {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        }
        said = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert said <= known, f"{page.name}: `provost {line}` has no option {sorted(said - known)}"
