"""Homes that are made once in a session and copied by each test."""

import pytest

from tests.support import tiny_faculty
from tests.support.tiny_faculty import (
    PACKAGE,
    TEAMS,
    climb,
    copy_home,
    home_at,
    importable,
    make_fork_point,
)


@pytest.fixture(scope="session")
def teams_on_path(tmp_path_factory):
    """Return the folder that holds the two teams' package, on Python's path."""
    root = tmp_path_factory.mktemp("faculty")
    for team in TEAMS:
        tiny_faculty.write_team(root, team)
    with importable(root):
        yield root


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """Return the folder of the session's home, which grows, and of its copies at each stage."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="session")
def home_with_fork_point(homes):
    with home_at(homes / "growing"):
        make_fork_point()
    return copy_home(homes / "growing", homes / "with_fork_point")


@pytest.fixture(scope="session")
def home_with_teachers(home_with_fork_point, teams_on_path, homes):
    with home_at(homes / "growing"):
        for team in TEAMS:
            climb(f"{PACKAGE}.{team}")
    return copy_home(homes / "growing", homes / "with_teachers")


@pytest.fixture(scope="session")
def home_with_student(home_with_teachers, homes):
    from workflows.commands.promote import promote_entry
    from workflows.consolidation.workflow import consolidate

    with home_at(homes / "growing") as folder:
        consolidate(
            teachers=[f"{team}@released" for team in TEAMS],
            mopd_steps=2,
            # These teachers have learned nothing that could fit.
            settings=["gate_prompts_per_domain=0"],
        )
        promote_entry("student.", "student.general@1", "ann", "it has learned nothing, as asked")
    return folder


@pytest.fixture
def fork_point(home, home_with_fork_point):
    """Put a fork point into this test's home, and return the home."""
    return copy_home(home_with_fork_point, home)


@pytest.fixture
def teachers(home, home_with_teachers):
    """Put a fork point and two released teachers into this test's home, and return the home."""
    return copy_home(home_with_teachers, home)


@pytest.fixture
def student(home, home_with_student):
    """Put a published student into this test's home, and return the home."""
    return copy_home(home_with_student, home)
