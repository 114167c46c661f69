"""README and guides, taken at their word: their commands run in order after a (small) demo."""

import re

import pytest

from tests.support.page_walk import ANSWERED, NOT_RUN, PAGES, ROOT, commands_of, run
from tests.support.small_checkout import SMALLER, SmallCheckout

AUDIT = next(page for page in PAGES if page.name == "audit.md")
RUN = [page for page in PAGES if any(not each.reason for each in commands_of(page))]
BEFORE = {
    # The example team learns its domain in 500 steps, and not in two.
    "provost run consolidation --teachers spell@": "provost teacher promote spell@1 --by test "
    "--reason 'it has learned nothing, as intended'",
}
"""What a small home needs before a line that begins so."""
MAY_BE_REFUSED = re.compile(
    r"provost gate|provost audit \S+( --sample .*)?$|provost estimate .*--teachers 12 "
)
"""In a small home no teacher fits, and a student's own answers may be noise that no audit takes.
The estimate of twelve teachers of 32 B parameters fits no eight GPUs, which the page says."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return SmallCheckout.made(tmp_path_factory.mktemp("small"))


@pytest.fixture
def small(made, tmp_path):
    found = made.copied(tmp_path)
    [behavior] = re.findall(r"^```json\n(.*?)^```", AUDIT.read_text("utf-8"), re.M | re.S)
    (found.folder / "FILE").write_text(behavior)  # which a command of the page names
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_commands_of_a_page_run_in_order(small, page):
    for command in (each for each in commands_of(page) if not each.reason):
        for start, needed in BEFORE.items():
            if command.text.startswith(start):
                small.run(needed)
        ran = run(command, small.folder, small.environment)
        wanted = {0, 1} if MAY_BE_REFUSED.match(command.text) else {0}
        assert ran.status in wanted, f"{ran}\n{ran.output}"
        assert "Traceback" not in ran.output, ran.output


@pytest.mark.slow
def test_a_demo_after_the_pages_is_found_finished_but_for_what_was_recalled(small):
    small.run("provost teacher recall code@1 --by test --reason 'a leaked test set' --yes")
    small.run("provost run teacher code --seed 1")
    small.run("provost teacher promote code@2 --by test --reason 'it has learned nothing'")
    said = small.run("provost run consolidation")
    assert "code@2" in said or "student.general@2" in said


def test_each_line_that_is_not_run_has_a_reason_and_is_on_a_page():
    texts = [each.text for page in PAGES for each in commands_of(page)]
    for start, reason in NOT_RUN.items():
        assert reason
        assert any(text.startswith(start) for text in texts), start


@pytest.mark.parametrize("file", SMALLER)
def test_what_makes_the_small_checkout_small_is_in_its_file(file):
    text = (ROOT / file).read_text("utf-8")
    assert [pattern for pattern, _ in SMALLER[file] if not re.search(pattern, text)] == []


def test_a_line_that_waits_for_a_yes_is_answered():
    texts = [each.text for page in PAGES for each in commands_of(page)]
    assert len([text for text in texts if ANSWERED.search(text)]) >= 2


def test_commands_are_read_without_comments_and_without_output(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```json\n{}\n```\n```\nprovost doctor   # checks\nok  cores\nA=1 make demo\n```\n`make`\n"
    )
    assert [(each.line, each.text) for each in commands_of(page)] == [
        (5, "provost doctor"),
        (7, "A=1 make demo"),
    ]
