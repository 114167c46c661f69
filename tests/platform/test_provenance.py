"""What names the code that computes: it changes with that code, and with nothing else."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from lineage.digest import is_digest
from tasks.platform import provenance

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tasks", "lineage", "workflows")
STEPS = ("sft", "rl", "mopd", "merge", "gate", "evaluate", "release")
MODULES_KEPT = 4
EDITED = ("climb.py", "files.py", "grpo.py", "plan.py")
"""The modules that a test edits or renames."""
ASK = """
import json, sys
from tasks.platform import provenance
print(json.dumps({step: provenance.source_digest(step) for step in sys.argv[1:]}))
"""


def copy_code(folder):
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the code without its history, which no test changes.

    A step and the workflows keep few of their modules: tests copy and read all that is there.
    """
    folder = copy_code(tmp_path_factory.mktemp("code"))
    steps = [folder / "tasks" / name for name in (*STEPS, *provenance.GROUND_FLOOR)]
    for package in (*steps, folder / "workflows"):
        for path in sorted(package.rglob("*.py"))[MODULES_KEPT:]:
            if path.name not in EDITED:
                path.unlink()
    return folder


@pytest.fixture(scope="module")
def sources(copied):
    """The digest of each step's source in that copy."""
    return digests_of(copied)


@pytest.fixture
def tree(tmp_path, copied):
    """Return a copy of the code: links to the copy's files, which ``append`` replaces."""
    for package in PACKAGES:
        shutil.copytree(copied / package, tmp_path / package, copy_function=os.link)
    return tmp_path


@contextmanager
def provenance_of(tree, **environment):
    """The module as the code in ``tree`` has it, with nothing remembered."""
    file = tree / "tasks" / "platform" / "provenance.py"
    spec = importlib.util.spec_from_file_location("provenance_of_a_copy", file)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GIT_CEILING_DIRECTORIES": str(tree.parent), **environment}.items():
            patch.setenv(name, value)
        spec.loader.exec_module(module)
        yield module


def commit_of(tree, **environment):
    with provenance_of(tree, **environment) as module:
        return module.git_commit()


def difference_of(tree, **environment):
    with provenance_of(tree, **environment) as module:
        return module.git_difference()


def digests_of(tree):
    with provenance_of(tree) as module:
        return {step: module.source_digest(step) for step in STEPS}


@pytest.fixture
def changed(tree, sources):
    """Return a function: the steps whose source digest differs from that of the copy."""
    return lambda: {step for step, digest in digests_of(tree).items() if digest != sources[step]}


def append(path, text="\nANOTHER = 1\n"):
    whole = path.read_text("utf-8") + text
    path.unlink()  # a link to the copy's file
    path.write_text(whole, "utf-8")


@pytest.mark.medium
def test_a_copy_elsewhere_is_the_same_source(tmp_path):
    here = digests_of(ROOT)
    assert digests_of(copy_code(tmp_path)) == here
    assert all(is_digest(digest) for digest in here.values())
    assert len(set(here.values())) == len(here)


def test_a_fresh_process_gives_the_same_digests(tree, sources):
    said = subprocess.check_output([sys.executable, "-c", ASK, *STEPS], cwd=tree)
    assert json.loads(said) == sources


def test_a_change_in_a_step_is_a_change_of_that_step_alone(tree, changed):
    append(tree / "tasks" / "rl" / "grpo.py")
    assert changed() == {"rl"}


GROUND_FLOOR = [p for p in provenance.GROUND_FLOOR if (ROOT / "tasks" / p).is_dir()]


@pytest.mark.parametrize("package", GROUND_FLOOR)
def test_a_change_of_the_ground_floor_is_one_of_every_step(tree, changed, package):
    append(next(iter(sorted((tree / "tasks" / package).glob("*.py")))))
    assert changed() == set(STEPS)


def test_a_step_may_name_a_module_and_nothing_that_is_missing():
    alone = provenance.source_digest("evaluate")
    assert provenance.source_digest("evaluate", "statistics") != alone
    with pytest.raises(ValueError, match="statistic"):
        provenance.source_digest("evaluate", "statistic")


def test_a_pages_templates_are_part_of_its_source(tree):
    ask = (
        "from tasks.platform import provenance; print(provenance.source_digest('merge', 'reports'))"
    )

    def digest():
        return subprocess.check_output([sys.executable, "-c", ask], cwd=tree)

    before = digest()
    append(tree / "tasks" / "reports" / "templates" / "plan.html.j2", "more")
    assert digest() != before


def test_a_new_or_a_renamed_file_is_a_change(tree, changed):
    (tree / "tasks" / "merge" / "more.py").write_text("")
    (tree / "tasks" / "gate" / "plan.py").rename(tree / "tasks" / "gate" / "plans.py")
    assert changed() == {"merge", "gate"}


def test_a_comment_makes_no_derivation_anew(tree, changed):
    append(tree / "tasks" / "model" / "files.py", "\n# another line\n")
    assert changed() == set()


def test_a_file_that_computes_nothing_does_not_count_as_a_change(tree, changed):
    (tree / "tasks" / "rl" / "README.md").write_text("words")
    append(tree / "lineage" / "mirror" / "runs.py")
    append(tree / "tasks" / "platform" / "progress.py")
    (tree / "tasks" / "rl" / "__pycache__").mkdir()
    (tree / "tasks" / "rl" / "__pycache__" / "grpo.cpython-311.pyc").write_bytes(b"\0")
    assert changed() == set()


def test_without_a_checkout_commit_and_difference_are_missing(tree):
    assert (commit_of(tree), difference_of(tree)) == ("", "")


def test_without_git_commit_and_difference_are_missing(tmp_path):
    assert (commit_of(ROOT, PATH=str(tmp_path)), difference_of(ROOT, PATH=str(tmp_path))) == (
        "",
        "",
    )


def test_a_commit_baked_into_an_image_is_reported_without_git(tree, tmp_path):
    assert commit_of(tree, PROVOST_COMMIT="abc123", PATH=str(tmp_path)) == "abc123"


@pytest.fixture
def checkout(tree):
    """Return the copy as a git repository with one commit."""
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "first")
    return tree


def git(folder, *arguments):
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, check=True)
    return run.stdout.decode().strip()


def test_a_clean_checkout_has_a_commit_and_no_difference(checkout):
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")
    assert difference_of(checkout) == ""


def test_a_link_and_a_repository_in_the_checkout_are_differences_too(checkout, tmp_path):
    (checkout / "elsewhere").symlink_to(tmp_path)
    linked = difference_of(checkout)
    assert is_digest(linked)
    (checkout / "elsewhere").unlink()
    (checkout / "elsewhere").symlink_to(tmp_path.parent)
    assert difference_of(checkout) not in {"", linked}
    (checkout / "elsewhere").unlink()
    git(checkout, "init", "-q", "another")
    (checkout / "another" / "code.py").write_text("ONE = 1\n")
    git(checkout / "another", "add", ".")
    git(checkout / "another", "commit", "-q", "-m", "first")
    assert is_digest(difference_of(checkout))


def test_a_changed_and_a_new_file_each_make_a_difference(checkout):
    append(checkout / "tasks" / "rl" / "grpo.py")
    edited = difference_of(checkout)
    assert is_digest(edited)
    (checkout / "tasks" / "rl" / "more.py").write_text("ONE = 1\n")
    added = difference_of(checkout)
    assert added != edited


def test_the_content_of_a_new_file_makes_a_difference(checkout):
    new = checkout / "tasks" / "rl" / "more.py"
    new.write_text("ONE = 1\n")
    before = difference_of(checkout)
    new.write_text("ONE = 2\n")
    assert difference_of(checkout) != before


@pytest.mark.parametrize("file", ["lineage/digest.py", "workflows/climb.py"])
def test_a_change_outside_the_tasks_makes_a_difference(checkout, file):
    append(checkout / file)
    assert difference_of(checkout) != ""


def test_a_changed_file_other_than_code_changes_the_digest(checkout):
    trust = checkout / "infra" / "trust.toml"
    trust.parent.mkdir()
    trust.write_text("one = 1\n")
    added = difference_of(checkout)
    assert is_digest(added)
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "second")
    assert difference_of(checkout) == ""
    append(trust, "two = 2\n")
    assert is_digest(difference_of(checkout))


def test_a_document_makes_no_difference(checkout):
    (checkout / "README.md").write_text("words")
    assert difference_of(checkout) == ""


def test_the_packages_that_weights_depend_on_are_named_with_their_versions():
    versions = provenance.package_versions()
    assert versions["torch"] == version("torch")
    assert {"transformers", "trl", "tokenizers", "safetensors", "numpy"} <= versions.keys()
