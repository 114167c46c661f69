"""Packages that a library imports and a release does not carry."""

import importlib
import sys

import pytest

from tasks.rollout.absent import NotCarriedError, stand_in_for
from tasks.rollout.bounded import bounded


@pytest.fixture
def absent(monkeypatch):
    """A package that is not there, with a placeholder for it."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    modules = dict(sys.modules)
    stand_in_for("no_such_package")
    yield importlib.import_module("no_such_package.part")
    for name in sys.modules.keys() - modules:
        del sys.modules[name]


def test_its_import_succeeds_and_its_names_can_be_held(absent):
    assert absent.Base.__name__ == "no_such_package.part.Base"


def test_its_first_use_stops_by_name_and_no_handler_hides_it(absent):
    with pytest.raises(NotCarriedError, match=r"no_such_package\.part\.load"):
        absent.load("x")
    assert not issubclass(NotCarriedError, Exception)


def test_a_package_that_is_carried_is_the_real_one(absent):
    stand_in_for("json")
    assert importlib.import_module("json").loads("1") == 1


def test_others_stay_missing(absent):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("another_missing_package")


def test_a_bounded_call_says_that_the_release_is_at_fault(absent):
    with pytest.raises(NotCarriedError, match="load"):
        bounded(lambda _: absent.load(1), None)
