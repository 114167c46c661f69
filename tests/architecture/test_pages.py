"""The pages for people: every link and picture is there, and every command is one."""

import re

import pytest

from tests.support.project_files import ROOT
from tests.support.provost_commands import commands_of_code, commands_of_page, fault

PAGES = sorted((ROOT / "docs").rglob("*.md"))
ROOT_PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "infra" / "README.md",
    ROOT / "benchmarks" / "README.md",
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#([^)\s]+))?\)")


def headings(page):
    """Return the anchors of a page's headings, as a renderer makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "page", [*PAGES, *ROOT_PAGES], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        if "://" in target:
            continue
        file = (page.parent / target).resolve()
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in headings(file), f"{page.name} links to {target}#{anchor}"


@pytest.mark.parametrize(
    "page", [*PAGES, *ROOT_PAGES], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_every_command_of_a_page_exists(page):
    commands = commands_of_page(page.read_text("utf-8"))
    assert [found for found in map(fault, commands) if found] == []


def test_every_command_that_a_message_names_exists():
    files = [
        file
        for folder in ("lineage", "tasks", "workflows")
        for file in (ROOT / folder).rglob("*.py")
    ]
    commands = {line for file in files for line in commands_of_code(file.read_text("utf-8"))}
    assert len(commands) >= 5
    assert [found for found in map(fault, sorted(commands)) if found] == []


def folders_of_tree(text):
    """Return the folders that the README's tree names: indented ones lie in the one above them."""
    block = re.search(r"^## The tree\n+```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]
    found, above = set(), ""
    for line in block.splitlines():
        names = re.match(r" *((?:[\w.-]+/ ?)+)", line)[1].replace("/", "").split()
        above = above if line.startswith(" ") else names[0]
        found |= {f"{above}/{name}" if line.startswith(" ") else name for name in names}
    return found


def test_the_tree_of_the_readme_names_every_folder_that_holds_files():
    listed = folders_of_tree((ROOT / "README.md").read_text("utf-8"))
    assert {name for name in listed if not (ROOT / name).is_dir()} == set()
    packages = {"workflows", "tasks", "lineage"}
    there = packages | {
        f"{name}/{folder.name}"
        for name in packages
        for folder in (ROOT / name).iterdir()
        if folder.is_dir() and any(file.suffix != ".pyc" for file in folder.rglob("*.*"))
    }
    assert there - listed == set()


def test_a_tree_is_read_by_its_indentation():
    text = "## The tree\n\n```\na/   one\n  b/  two\n  c/ d/\n```\n"
    assert folders_of_tree(text) == {"a", "a/b", "a/c", "a/d"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("teacher list --json", ""),
        ("lineage show student@1  # a comment", ""),
        ("teacher lst", "`provost teacher lst` names no command"),
        ("teacher list --jsn", "`provost teacher list --jsn` has no option --jsn"),
    ],
)
def test_a_command_that_does_not_exist_is_seen(line, found):
    assert fault(line) == found
