"""What is not Python in a package is installed with it."""

import tomllib

from tests.support.project_files import ROOT, committed_files

PACKAGES = ("lineage", "tasks", "workflows")


def installed():
    """Return the files that a wheel takes along, by the patterns of pyproject.toml."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return {
        file
        for package, globs in patterns["package-data"].items()
        for pattern in globs
        for file in ROOT.joinpath(*package.split(".")).glob(pattern)
    }


def test_every_data_file_of_a_package_is_installed():
    data = {
        file
        for file in committed_files()
        if file.relative_to(ROOT).parts[0] in PACKAGES and file.suffix != ".py"
    }
    assert {file.suffix for file in data} >= {".json", ".j2", ".css"}
    assert data - installed() == set()
