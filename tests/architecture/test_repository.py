"""Owners, dependencies and what must not be committed."""

import re
import subprocess
import sys
import tomllib

import pytest

from tests.support.project_files import (
    PACKAGES,
    ROOT,
    TEAMS,
    TESTBED,
    committed_files,
    files_of_tests,
    imported_modules,
    package_files,
    relative,
)

# Where a distribution is not called as its package is: {package: distribution}.
IMPORTED_AS = {
    "PIL": "pillow",
    "cyclonedx": "cyclonedx-python-lib",
    "flytekitplugins": "flytekitplugins-kfpytorch",
    "google": "protobuf",
    "grpc": "grpcio",
    "openlineage": "openlineage-python",
    "psycopg2": "psycopg2-binary",
    "yaml": "pyyaml",
}

# Packages that a test writes before it imports them.
WRITTEN_BY_TESTS = {"data_teams", "handbook"}

# Packages that a test imports because they do not exist.
MISSING_ON_PURPOSE = {"no_such_package", "another_missing_package"}

MACHINE_PATH = re.compile(r"(?<![\w.~$}{-])/(?:work|opt|Users|home/\w+)/")
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|gh[pousr]_\w{36}|hf_\w{34}"
)


# A module that needs an extra; it says which where that is not installed.
BEHIND_AN_EXTRA = {"tasks/platform/hosting.py": "cluster", "tasks/model/lora.py": "lora"}


def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def canonical(requirement):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("folder", [TEAMS, TESTBED], ids=["teachers", "testbed"])
def test_every_team_folder_has_an_owner_of_its_own(folder):
    owners = dict(
        line.split(maxsplit=1)
        for line in (ROOT / "CODEOWNERS").read_text().splitlines()
        if line and not line.startswith("#")
    )
    teams = sorted(package.parent.name for package in folder.glob("*/__init__.py"))
    assert teams
    lines = {team: owners.get(f"/{relative(folder)}/{team}/") for team in teams}
    assert None not in lines.values(), lines
    assert len(set(lines.values())) == len(teams), "two teams have the same owner"


def test_owners_are_given_only_to_what_exists():
    lines = (ROOT / "CODEOWNERS").read_text().splitlines()
    paths = [line.split()[0] for line in lines if line.startswith("/")]
    assert [path for path in paths if not (ROOT / path.strip("/")).exists()] == []


def undeclared(files, declared):
    own = {
        *PACKAGES,
        *(file.stem for file in files_of_tests()),
        "tests",
        "benchmarks",
        *WRITTEN_BY_TESTS,
        *MISSING_ON_PURPOSE,
    }
    for file in files:
        for line, module in imported_modules(file):
            top = module.split(".")[0]
            if top in sys.stdlib_module_names or top in own:
                continue
            if canonical(IMPORTED_AS.get(top, top)) not in declared:
                yield f"{relative(file)}:{line} {top}"


@pytest.mark.medium
def test_every_third_party_import_is_a_declared_dependency():
    runtime = {canonical(line) for line in settings()["dependencies"]}
    extras = settings()["optional-dependencies"]
    development = runtime | {canonical(line) for extra in extras.values() for line in extra}
    extra_of = {ROOT / file: extra for file, extra in BEHIND_AN_EXTRA.items()}
    plain = [file for file in package_files() if file not in extra_of]
    assert list(undeclared(plain, runtime)) == []
    for file, extra in extra_of.items():
        assert list(undeclared([file], runtime | set(map(canonical, extras[extra])))) == []
    assert list(undeclared(files_of_tests(), development)) == []


def test_every_dependency_has_a_lower_bound_and_a_pin():
    groups = [settings()["dependencies"], *settings()["optional-dependencies"].values()]
    required = [line for group in groups for line in group]
    assert [line for line in required if ">=" not in line] == []
    pinned = {canonical(line) for line in pins()}
    assert {canonical(line) for line in required} - pinned == set()


def test_pins_are_plain_names_and_versions():
    assert [line for line in pins() if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line)] == []
    assert pins() == sorted(pins(), key=lambda line: line.split("==")[0])


def texts():
    for file in committed_files():
        try:
            yield relative(file), file.read_text()
        except UnicodeDecodeError:  # a picture
            continue


def test_no_committed_file_names_a_place_on_one_machine():
    found = [
        f"{name}:{number} {line.strip()[:80]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_no_committed_file_holds_a_secret():
    assert [name for name, text in texts() if SECRET.search(text)] == []


def test_no_committed_file_is_a_pickle_or_weights():
    banned = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".safetensors"}
    assert [relative(file) for file in committed_files() if file.suffix in banned] == []


def test_the_patterns_find_what_they_are_for():
    assert MACHINE_PATH.search('open("/' + 'work/main/x")')
    assert MACHINE_PATH.search("cd /" + "home/ada/src")
    inside = ("workflows/" + "opt/x", "https://example.org/" + "work/x", "./" + "opt/y")
    assert [path for path in inside if MACHINE_PATH.search(path)] == []
    assert SECRET.search("AKIA" + "A" * 16)


def test_a_private_key_in_the_checkout_is_not_added_by_accident():
    done = subprocess.run(
        ["git", "check-ignore", "spell.pem", "docs/guides/math-new.pem", "spell.pem.pub"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert {"spell.pem", "docs/guides/math-new.pem"} <= set(done.stdout.split())
