"""A team's climb that cannot go on says what, why and what to do, and leaves nothing half done."""

import functools
import os
import subprocess

import pytest

from lineage.errors import UnknownReferenceError
from lineage.registry.registry import Registry
from lineage.store.store import open_store, read_tree
from tasks.contracts.refusal import RefusedError
from tasks.platform.step_runner import StepRunner
from tasks.release import preflight
from tasks.release.checkpoints import resolve_checkpoint
from tasks.release.preflight import check_climb
from tasks.rollout.client import EnvironmentFailure
from tasks.rollout.json_lines import PromptError
from tasks.rollout.settings import SamplingSettings
from tasks.rollout.worker import client
from tasks.rollout.worker.bundle import BundleError
from tests.support.jsonl_team import jsonl_team, write_rows
from tests.support.refusals import flip, refusal
from tests.support.refused import raised, refused
from tests.support.tiny_faculty import (
    PROMPTS,
    Contents,
    climb,
    collected,
    kinds,
    teams_folder,
    write_team,
)

PACKAGE = "broken_teams"
TEAM = f"{PACKAGE}.shout"


@pytest.fixture
def root(tmp_path):
    with teams_folder(tmp_path, PACKAGE) as folder:
        yield folder


@pytest.fixture
def faculty(fork_point):
    """Give a fork point, and see that what fails registers no teacher."""
    yield fork_point
    assert Registry(open_store()).names() == ["fork-point"]


def climbing(team=TEAM):
    return refusal("run", "teacher", team)


def test_an_unknown_team_is_named_with_the_teams_that_exist(faculty):
    message = climbing("poetry")
    assert "unknown team 'poetry': choose one of agent, code, instruct, math" in message
    assert "acme.poetry" in message


def test_the_refusal_of_an_unknown_package_lists_what_a_team_has(faculty):
    message = climbing("acme.poetry")
    assert "acme.poetry.workflow cannot be imported" in message
    assert "lies on the Python path" in message


def test_an_unregistered_fork_point_is_refused(home, root):
    write_team(root, "shout", package=PACKAGE)
    assert "run `provost run foundation` first" in climbing()
    with refused("no-fork-point", open_store().uri):
        resolve_checkpoint(StepRunner(), "fork-point@released")
    with pytest.raises(UnknownReferenceError):
        resolve_checkpoint(StepRunner(), "fork-piont@released")


@pytest.mark.slow
def test_prompts_in_files_climb_like_any_others(fork_point, root):
    """Guards the tests below: nothing but the one bad line is wrong with these files."""
    jsonl_team(root, PACKAGE)
    made = climb(TEAM)
    assert Registry(open_store()).resolve("shout@released").digest == made.digest


def test_an_empty_prompt_file_is_named(faculty, root):
    folder = jsonl_team(root, PACKAGE, train="\n \n")
    message = climbing()
    assert f"{folder / 'train.jsonl'} is empty: write at least one JSON object" in message


@pytest.mark.parametrize(
    ("line", "name"),
    [("{'id': 1}", "column 2"), ('{"id": "b", "messages": [], "tsak": {}}', "'tsak'")],
)
def test_a_malformed_prompt_is_named_by_file_and_line(home, root, line, name):
    first = '{"id": "a", "messages": [{"role": "user", "content": "q"}]}'
    folder = jsonl_team(root, PACKAGE, train=f"{first}\n{line}\n")
    with pytest.raises(PromptError) as caught:
        collected(TEAM)
    assert f"{folder / 'train.jsonl'}, line 2: " in str(caught.value)
    assert name in str(caught.value)


def test_a_training_prompt_in_the_evaluation_set_is_refused(home, root):
    row = '{"id": "a", "messages": [{"role": "user", "content": "same"}]}\n'
    jsonl_team(root, PACKAGE, train=row, evaluation=row.replace('"a"', '"b"'))
    with pytest.raises(PromptError, match="'a' = 'b'"):
        collected(TEAM)


@pytest.mark.parametrize("split", ["train", "validation", "evaluation", "demonstrations"])
def test_a_count_that_cannot_be_met_is_named_by_its_setting(home, root, split):
    jsonl_team(root, PACKAGE)
    settings = root / PACKAGE / "shout" / "settings.py"
    text = settings.read_text()
    settings.write_text(text.replace(f"num_{split}=8", f"num_{split}=9"))
    assert settings.read_text() != text
    with refused("no-data-set", f"num_{split} of DOMAIN in {TEAM}.settings", "8 ", "9 "):
        collected(TEAM)


def test_a_generator_that_gives_out_too_early_is_refused(home, root):
    prompts = PROMPTS.format(name="shout").replace("len(seen) < count", "len(seen) < count // 2")
    write_team(root, "shout", package=PACKAGE, prompts=prompts)
    with pytest.raises((EnvironmentFailure, RefusedError), match=r"'shout': prompts\(\) .*4 .*8"):
        collected(TEAM)


def test_source_that_imports_what_it_may_not_is_named_by_line(home, root):
    prompts = "import torch\n" + PROMPTS.format(name="shout")
    write_team(root, "shout", package=PACKAGE, prompts=prompts)
    with raised(BundleError, "foreign-import", "prompts.py, line 1: ", "'torch'"):
        collected(TEAM)


BAD_GRADES = [
    ("raise KeyError('answer')", "shout-", "KeyError"),
    ("return 'well done'", "shout-", "a str: "),
    ("return Grade(1.5)", "shout-", "1.5"),
    ("import os; os._exit(3)", "", "exit status 3"),
    ("while True: pass", "shout-", "2 s"),
]


@pytest.mark.medium
@pytest.mark.parametrize(("grade", "prompt", "problem"), BAD_GRADES)
def test_an_environment_that_grades_nothing_is_found_before_any_training(
    home, root, monkeypatch, grade, prompt, problem
):
    short = functools.partial(client.WorkerLimits, call_seconds=2.0)
    monkeypatch.setattr(client, "WorkerLimits", short)
    write_team(root, "shout", package=PACKAGE, grade=grade)
    with pytest.raises(EnvironmentFailure) as caught:
        collected(TEAM)
    found = caught.value
    assert (found.domain, found.call) == ("shout", "grade")
    assert found.prompt_id.startswith(prompt)
    assert problem in str(found)
    # no demonstrations, and nothing trained
    assert kinds(Contents.now().records).keys() == {"environment", "prompts"}


@pytest.mark.slow
def test_an_environment_that_fails_in_the_climb_stops_it(faculty, root, monkeypatch):
    grade = "return Grade(1.0) if turns[-1].content.isalpha() else 'well done'"
    message, made = climb_with(root, monkeypatch, grade)
    assert "environment of 'shout': grade() at prompt 'shout-" in message
    assert "returned a str: it must return a Grade" in message
    # what came before the climb is kept and found by the next run; no rung is
    assert made.keys() == {"environment", "prompts", "demonstrations", "sketch", "sft"}


def climb_with(root, monkeypatch, grade):
    """Climb with this grader; return how it is refused, and what was made before."""
    short = functools.partial(client.WorkerLimits, call_seconds=2.0)
    monkeypatch.setattr(client, "WorkerLimits", short)
    write_team(root, "shout", package=PACKAGE, grade=grade)
    before = Contents.now().records
    message = climbing()
    return message, kinds(Contents.now().records - before)


@pytest.mark.medium
def test_prompts_that_do_not_fit_the_context_are_refused(faculty, root):
    prompts = PROMPTS.format(name="shout").replace(
        'Message("user", word))', 'Message("user", word * (60 if len(word) == 4 else 1)))'
    )
    prompts = prompts.replace(
        "Demonstration(prompt.messages,", 'Demonstration((Message("user", "w"),),'
    )
    write_team(root, "shout", package=PACKAGE, prompts=prompts)
    message = climbing()
    assert "it does not fit into the 128 positions that the model has" in message
    assert "shorten it or drop it" in message


@pytest.mark.medium
@pytest.mark.parametrize("split", ["train", "validation", "evaluation"])
def test_a_prompt_of_any_split_is_tried_before_any_training(faculty, root, split):
    long = {"id": "long", "messages": [{"role": "user", "content": "word " * 60}]}
    folder = jsonl_team(root, PACKAGE)
    write_rows(
        folder.parent,
        split,
        [long] * 1
        + [
            {"id": f"{n}", "messages": [{"role": "user", "content": f"{split} {n}"}]}
            for n in range(7)
        ],
    )
    runner, domain = collected(TEAM)
    start = resolve_checkpoint(runner, "fork-point@released")
    with refused("prompt-too-long", "'long'", "'shout'", "128 "):
        check_climb(runner, start, domain, SamplingSettings(max_new_tokens=4), 4)


def test_a_disk_without_room_for_the_whole_climb_is_refused(faculty, root):
    write_team(root, "shout", package=PACKAGE)
    runner, domain = collected(TEAM)
    start = resolve_checkpoint(runner, "fork-point@released")
    size = sum(file.size for file in read_tree(runner.store, start.digest).files)
    # Four checkpoints, and a state of weights and two moments.
    enough, sampling = 7 * size, SamplingSettings(max_new_tokens=4)
    check_climb(runner, start, domain, sampling, 4, free=lambda folder: enough)
    with refused("disk-too-small", "4 checkpoints", runner.store.uri):
        check_climb(runner, start, domain, sampling, 4, free=lambda folder: enough - 1)
    check_climb(runner, start, domain, sampling, 0, free=lambda folder: 0)  # trains nothing


def test_a_flipped_byte_in_the_fork_point_is_found_before_training(faculty, root):
    write_team(root, "shout", package=PACKAGE)
    digest = Registry(open_store()).resolve("fork-point@released").digest
    path = flip(digest, "model.safetensors")
    before = Contents.now().records
    message = climbing()
    assert f"{path} no longer has the digest sha256:" in message
    assert "Restore it from a copy" in message
    assert "provost lineage verify" in message
    assert "sft" not in kinds(Contents.now().records - before)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 16 MiB; needs a user who may."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs rights that this user has not")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_the_climb_and_room_lets_it_go_on(
    fork_point, root, small_disk, monkeypatch
):
    write_team(root, "shout", package=PACKAGE)
    (fork_point / "store").rename(fork_point / "away")
    subprocess.run(["cp", "-a", fork_point / "away", small_disk / "store"], check=True)
    monkeypatch.setenv("PROVOST_STORE", str(small_disk / "store"))
    looked = preflight.refuse_small_disk

    def fills_later(*asked):
        """Look at the disk, as a climb does, before somebody else fills it."""
        looked(*asked)
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        (small_disk / "filler").write_bytes(b"\0" * (free - 120_000))

    with monkeypatch.context() as patched:
        patched.setattr(preflight, "refuse_small_disk", fills_later)
        message = climbing()
    assert "no space left under" in message
    assert "Free space" in message
    before = Contents.now()
    assert "rl" not in kinds(before.records)
    (small_disk / "filler").unlink()
    released = climb(TEAM)
    assert Contents.now().records > before.records
    assert Registry(open_store()).resolve("shout").digest == released.digest
