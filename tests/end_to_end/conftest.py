"""Homes that are made once, by the first worker that needs them, and copied by each test."""

import contextlib
import shutil

import pytest

from tests.support import tiny_faculty
from tests.support.tiny_faculty import (
    ORDER,
    PACKAGE,
    TEAMS,
    climb,
    copy_home,
    home_at,
    importable,
    make_fork_point,
)


@pytest.fixture(scope="session")
def teams_on_path(make_once):
    """Return the folder that holds the two teams' package, on Python's path."""

    def write(root):
        for team in TEAMS:
            tiny_faculty.write_team(root, team)

    root = make_once("faculty", write)
    with importable(root):
        yield root


@pytest.fixture(scope="session")
def home_with_fork_point(make_once, mlflow_database):
    def make(folder):
        folder.mkdir()
        shutil.copyfile(mlflow_database, folder / "mlflow.db")
        with home_at(folder):
            make_fork_point()

    return make_once("with_fork_point", make)


@pytest.fixture(scope="session")
def home_with_teachers(make_once, home_with_fork_point, teams_on_path):
    def make(folder):
        copy_home(home_with_fork_point, folder)
        with home_at(folder):
            for team in TEAMS:
                climb(f"{PACKAGE}.{team}")

    return make_once("with_teachers", make)


@pytest.fixture(scope="session")
def home_with_candidate(make_once, home_with_teachers):
    """A student that has learned nothing, and what was printed when it was made."""
    from workflows.consolidation.workflow import consolidate

    def make(folder):
        copy_home(home_with_teachers, folder)
        with (
            home_at(folder),
            (folder / "printed").open("w") as printed,
            contextlib.redirect_stderr(printed),
        ):
            consolidate(**ORDER)

    return make_once("with_candidate", make)


@pytest.fixture(scope="session")
def home_with_student(make_once, home_with_candidate):
    from tasks.platform.views import MlflowMirror
    from workflows.commands.names import promote_entry

    def make(folder):
        copy_home(home_with_candidate, folder)
        with home_at(folder):
            reason = "it has learned nothing, as intended"
            promote_entry(MlflowMirror(), "student.", "student.general@1", "ann", reason)

    return make_once("with_student", make)


@pytest.fixture
def fork_point(home, home_with_fork_point, kept_homes):
    """Put a fork point into this test's home, and return the home."""
    with kept_homes.lent(home_with_fork_point, home):
        yield home


@pytest.fixture
def teachers(home, home_with_teachers, kept_homes):
    """Put a fork point and two released teachers into this test's home, and return the home."""
    with kept_homes.lent(home_with_teachers, home):
        yield home


@pytest.fixture
def student(home, home_with_student, kept_homes):
    """Put a published student into this test's home, and return the home."""
    with kept_homes.lent(home_with_student, home):
        yield home
