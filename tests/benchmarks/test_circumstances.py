"""A result names how it was measured, and comes from a checkout without changes."""

import json
import subprocess

import pytest

from benchmarks.common import checkout
from benchmarks.common.checkout import RESULTS, ROOT, is_clean
from benchmarks.common.results import load, write_whole

NEEDED = ("command", "commit", "clean", "measured", "python", "cpu", "cores", "load_before")
_BEFORE_CLEAN = {"clean"}
_BARE = {"clean", "measured", "python", "cpu", "cores", "load_before"}
_OLD_FAULT = _BARE - {"python", "cores"} | {"command"}
_OLD_MUTANTS = set(NEEDED) - {"commit"}
OLD = {
    "demo.json": _BARE,
    "teacher_pool.json": _BEFORE_CLEAN,
    "mutants_before.json": _OLD_MUTANTS,
    "mutants_after.json": _OLD_MUTANTS,
    "mutants_drawn.json": _OLD_MUTANTS,
    "step_choices_cuda.json": {"command", "clean", "python", "cpu", "cores", "load_before"},
    "faults/clocks.jsonl": _OLD_FAULT,
    "faults/demo_kills.jsonl": _OLD_FAULT,
    "faults/flips.jsonl": _OLD_FAULT,
    "faults/full.jsonl": _OLD_FAULT,
    "faults/kills.jsonl": _OLD_FAULT,
    "faults/outages.jsonl": _OLD_FAULT,
    "faults/recipe_kills.jsonl": _OLD_FAULT,
    "faults/releases.jsonl": _OLD_FAULT,
    "faults/teams.jsonl": _OLD_FAULT,
    "faults/teams_s3.jsonl": _OLD_FAULT,
    "faults/trained.jsonl": _OLD_FAULT,
}
"""What results from before a rule lack. A file leaves when it is measured again; none joins."""
CHANGED = {
    "gate_rows.json.gz",
    "lineage_store.json",
    "step_batch.json",
    "step_length.json",
    "step_teachers.json",
    "step_vocabulary.json",
}
"""Results of a checkout with changes. A file leaves when it is measured again; none joins."""
SUMMARIES = {"gate.json", "faults.json"}
"""Made from rows beside them, which have the circumstances."""
WITHOUT_SEED = {
    "balance.json",  # in the name of each case
    "flyte_overhead.json",
    "gate_fresh.json",  # in the name of each case
    "ledger_compensated.json",
    "ledger_options.json",
    "ledger_rounds.json",
    "mutants_after.json",  # in mutants_drawn.json
    "mutants_before.json",
    "new_domain.json",
    "shared_beginning.json",
    "step_batch.json",
    "step_choices_cuda.json",
    "step_length.json",
    "step_on_paper.json",  # counts bytes
    "step_teachers.json",
    "step_vocabulary.json",
    "test_all.json",
    "test_engines.json",
    "threads.json",
    "waits.json",
}
"""Results without a seed. Of those, some are of fixed work; none joins without its reason."""
FILES = sorted(
    path
    for path in RESULTS.rglob("*")
    if path.is_file() and not path.name.endswith(".rows.json.gz")
)


def name_of(path):
    return path.relative_to(RESULTS).as_posix()


def content_of(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return load(path, {})


def circumstances_in(value):
    """Yield the circumstances of a result, at whatever depth."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if isinstance(value, dict) and isinstance(value.get("commit"), str):
        yield value
    elif isinstance(value, dict | list):
        for part in parts:
            yield from circumstances_in(part)


def has_seed(value):
    if isinstance(value, dict):
        return any("seed" in key for key in value) or any(map(has_seed, value.values()))
    return isinstance(value, list) and any(map(has_seed, value))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_result_has_its_circumstances(path):
    name, found = name_of(path), list(circumstances_in(content_of(path)))
    if name in SUMMARIES:
        assert found == []
        return
    assert found
    lacking = {key for each in found for key in NEEDED if key not in each}
    assert lacking == OLD.get(name, set())
    assert (False in [each.get("clean") for each in found]) == (name in CHANGED)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_result_has_its_seed(path):
    numbered = any(part.isdecimal() for part in path.name.replace(".", "-").split("-"))
    of_a_step = path.parent.name == "real"  # the seeds are settings of the proof
    known = has_seed(content_of(path)) or numbered or of_a_step
    assert known != (name_of(path) in WITHOUT_SEED) or name_of(path) in SUMMARIES


def test_rows_of_a_run_have_its_circumstances_beside_them():
    rows = list(RESULTS.rglob("*.rows.json.gz"))
    assert rows
    beside = [path.with_name(path.name.replace(".rows.json.gz", ".json")) for path in rows]
    assert [path for path in beside if not path.exists()] == []


def test_the_page_lists_the_old_results():
    page = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    listed = page.partition("## Old results")[2]
    names = {name.partition("/")[0] for name in (*OLD, *CHANGED)}
    assert [name for name in sorted(names) if f"`{name}" not in listed] == []


@pytest.fixture
def drafts(tmp_path, monkeypatch):
    monkeypatch.setattr(checkout, "DRAFTS", tmp_path / "drafts")
    return tmp_path / "drafts"


@pytest.mark.parametrize("name", ["new.json", "real/new.json.gz"])
def test_a_checkout_with_changes_writes_a_draft(name, drafts, monkeypatch, capsys):
    monkeypatch.setattr(checkout, "is_clean", lambda: False)
    write_whole(RESULTS / name, {"figures": 1})
    assert not (RESULTS / name).exists()
    assert load(drafts / name, {}) == {"figures": 1}
    assert str(drafts / name) in capsys.readouterr().err


def test_a_clean_checkout_writes_a_result_in_its_place(drafts, monkeypatch):
    monkeypatch.setattr(checkout, "is_clean", lambda: True)
    assert checkout.kept_at(RESULTS / "new.json") == RESULTS / "new.json"


def test_any_checkout_writes_a_file_beside_the_results(drafts, tmp_path, monkeypatch):
    monkeypatch.setattr(checkout, "is_clean", lambda: False)
    write_whole(tmp_path / "state.json", {"figures": 1})
    assert load(tmp_path / "state.json", {}) == {"figures": 1}


def test_a_file_of_the_code_changes_a_checkout_and_a_result_does_not(tmp_path):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True)

    git("init", "-q")
    for name in ("tasks", "benchmarks/results"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("1")
    git("add", "-A")
    git("commit", "-qm", "first")
    assert is_clean(tmp_path)
    (tmp_path / "benchmarks" / "results" / "file").write_text("2")
    assert is_clean(tmp_path)
    (tmp_path / "tasks" / "new").write_text("1")
    assert not is_clean(tmp_path)
    (tmp_path / "tasks" / "new").unlink()
    (tmp_path / "tasks" / "file").write_text("2")
    assert not is_clean(tmp_path)
