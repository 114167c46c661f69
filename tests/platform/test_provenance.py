"""What names the code that computes: it changes with that code, and with nothing else."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from lineage.digest import is_digest
from tasks.platform import provenance

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import json, sys
from tasks.platform import provenance
steps = ("sft", "rl", "mopd", "merge", "gate", "evaluate", "release")
print(json.dumps({
    "sources": {step: provenance.source_digest(step) for step in steps},
    "commit": provenance.git_commit(),
    "dirty": provenance.git_difference(),
}))
"""


@pytest.fixture
def tree(tmp_path):
    """Return a copy of the code without its history."""
    for package in ("tasks", "lineage", "workflows"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def ask(tree, **environment):
    """Return what a fresh process says of the code in ``tree``."""
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tree,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@cache
def sources_here():
    return ask(ROOT)["sources"]


def changed(tree):
    """Return the steps whose source digest differs from that of the repository."""
    now = ask(tree)["sources"]
    return {step for step, digest in now.items() if digest != sources_here()[step]}


def append(path, text="\nANOTHER = 1\n"):
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def test_a_copy_elsewhere_is_the_same_source(tree):
    assert changed(tree) == set()
    assert all(is_digest(digest) for digest in sources_here().values())
    assert len(set(sources_here().values())) == len(sources_here())


def test_a_change_in_a_step_is_a_change_of_that_step_alone(tree):
    append(tree / "tasks" / "rl" / "grpo.py")
    assert changed(tree) == {"rl"}


GROUND_FLOOR = [p for p in provenance.GROUND_FLOOR if (ROOT / "tasks" / p).is_dir()]


@pytest.mark.parametrize("package", GROUND_FLOOR)
def test_a_change_of_the_ground_floor_is_one_of_every_step(tree, package):
    append(next(iter(sorted((tree / "tasks" / package).glob("*.py")))))
    assert changed(tree) == set(sources_here())


def test_a_step_may_name_a_module_and_nothing_that_is_missing():
    assert provenance.source_digest("evaluate", "statistics") != sources_here()["evaluate"]
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


def test_a_new_or_a_renamed_file_is_a_change(tree):
    (tree / "tasks" / "merge" / "more.py").write_text("")
    (tree / "tasks" / "gate" / "plan.py").rename(tree / "tasks" / "gate" / "plans.py")
    assert changed(tree) == {"merge", "gate"}


BEFORE = '''"""A module."""

RATE = 0.5
"""Its docstring."""


class Step:
    """A class."""

    size: int = 3
    """An attribute docstring."""

    def run(self, x, scale=2.0):
        """Run."""
        # a comment
        return f"{self.size * x}" + str(round(x * scale))
'''


def digest_of(folder, text):
    path = folder / f"{abs(hash(text))}.py"
    path.write_text(text, "utf-8")
    return provenance.code_digest(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another\n\n    text."""'),
        ('"""A module."""\n', ""),
        ('    """An attribute docstring."""\n', ""),
        ('        """Run."""\n', '        """Run it."""\n'),
        ("# a comment", '# other words, "quoted"'),
        ("x, scale=2.0", "x,\n        scale=2.0,\n    "),
        ("\n\n\nclass", "\n\nclass"),
        ('f"{self.size * x}" + str', "f'{self.size * x}' + str"),
    ],
)
def test_prose_and_layout_keep_the_digest(tmp_path, old, new):
    assert old in BEFORE
    assert digest_of(tmp_path, BEFORE.replace(old, new)) == digest_of(tmp_path, BEFORE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 0.5", "RATE = 0.25"),
        ("size: int = 3", "size: int = 3.0"),
        ("size: int = 3", "size: int = True"),
        ("scale=2.0", "scale=2.5"),
        ("round(x * scale)", "int(x * scale)"),
        ("round(x * scale)", "round(scale * x)"),
        ("round(x * scale)", "round(x * scale, 1)"),
        ("def run(self", "def step(self"),
        ("RATE = 0.5", "RATE = '0.5'"),
        ("RATE = 0.5", "RATE = 0.5\nMORE = 1"),
    ],
)
def test_code_changes_the_digest(tmp_path, old, new):
    assert old in BEFORE
    assert digest_of(tmp_path, BEFORE.replace(old, new)) != digest_of(tmp_path, BEFORE)


def test_a_comment_makes_no_derivation_anew(tree):
    append(tree / "tasks" / "model" / "files.py", "\n# another line\n")
    assert changed(tree) == set()


def test_a_file_that_computes_nothing_does_not_count_as_a_change(tree):
    (tree / "tasks" / "rl" / "README.md").write_text("words")
    append(tree / "lineage" / "mirror" / "runs.py")
    append(tree / "tasks" / "platform" / "progress.py")
    (tree / "tasks" / "rl" / "__pycache__").mkdir()
    (tree / "tasks" / "rl" / "__pycache__" / "grpo.cpython-311.pyc").write_bytes(b"\0")
    assert changed(tree) == set()


def test_without_a_checkout_commit_and_difference_are_missing(tree):
    told = ask(tree)
    assert (told["commit"], told["dirty"]) == ("", "")


def test_without_git_commit_and_difference_are_missing(tmp_path):
    told = ask(ROOT, PATH=str(tmp_path))
    assert (told["commit"], told["dirty"]) == ("", "")


def test_a_commit_baked_into_an_image_is_reported_without_git(tree, tmp_path):
    assert ask(tree, PROVOST_COMMIT="abc123", PATH=str(tmp_path))["commit"] == "abc123"


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
    told = ask(checkout)
    assert told["commit"] == git(checkout, "rev-parse", "HEAD")
    assert told["dirty"] == ""


def test_a_changed_and_a_new_file_each_make_a_difference(checkout):
    append(checkout / "tasks" / "rl" / "grpo.py")
    edited = ask(checkout)["dirty"]
    assert is_digest(edited)
    (checkout / "tasks" / "rl" / "more.py").write_text("ONE = 1\n")
    added = ask(checkout)["dirty"]
    assert added != edited


def test_the_content_of_a_new_file_makes_a_difference(checkout):
    new = checkout / "tasks" / "rl" / "more.py"
    new.write_text("ONE = 1\n")
    before = ask(checkout)["dirty"]
    new.write_text("ONE = 2\n")
    assert ask(checkout)["dirty"] != before


@pytest.mark.parametrize("file", ["lineage/digest.py", "workflows/climb.py"])
def test_a_change_outside_the_tasks_makes_a_difference(checkout, file):
    append(checkout / file)
    assert ask(checkout)["dirty"] != ""


def test_a_changed_file_other_than_code_changes_the_digest(checkout):
    trust = checkout / "infra" / "trust.toml"
    trust.parent.mkdir()
    trust.write_text("one = 1\n")
    added = ask(checkout)["dirty"]
    assert is_digest(added)
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "second")
    assert ask(checkout)["dirty"] == ""
    append(trust, "two = 2\n")
    assert is_digest(ask(checkout)["dirty"])


def test_a_document_makes_no_difference(checkout):
    (checkout / "README.md").write_text("words")
    assert ask(checkout)["dirty"] == ""


def test_the_packages_that_weights_depend_on_are_named_with_their_versions():
    versions = provenance.package_versions()
    assert versions["torch"] == version("torch")
    assert {"transformers", "trl", "tokenizers", "safetensors", "numpy"} <= versions.keys()
