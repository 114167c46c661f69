"""Mutants are known by what they change, so that renamed code gives the same ones again."""

import pytest

from benchmarks.mutants.relocate import find
from benchmarks.mutants.rooms import ROOMS
from benchmarks.mutants.sites import places, sites

SUB = "core/ReplaceBinaryOperator_Sub_Add"
NOTHING = {"modules": {}, "functions": {}, "words": {}}
SOURCE = """
class Reader:
    def rest(self, heard):
        if heard:
            return self.size - heard  # what is left
        return 0
"""


@pytest.mark.parametrize("room", ROOMS.values(), ids=ROOMS)
def test_a_room_has_its_modules_and_tests(room):
    assert room.files()
    assert room.test_files()


def only(source, operator=SUB, module="reader.py"):
    (mutant,) = sites(module, source, operator)
    return mutant


def test_a_mutant_names_its_function_and_its_statement_before_and_after():
    mutant = only(SOURCE)
    assert mutant.function == "Reader.rest"
    assert mutant.before == "return self.size - heard"
    assert mutant.after == "return self.size + heard"


def test_a_mutant_that_is_not_python_is_left_out():
    assert places("if lost := a - b:\n    pass\n").count(("core/AddNot", 0)) == 1
    assert sites("reader.py", "if lost := a - b:\n    pass\n", "core/AddNot") == []


def test_of_a_compound_statement_the_head_alone_counts():
    mutant = only(SOURCE, "core/AddNot")
    assert (mutant.before, mutant.after) == ("if heard:\n    ...", "if not heard:\n    ...")


def test_every_occurrence_of_an_operator_is_a_place():
    assert places("x = a - b - 1\n").count((SUB, 1)) == 1
    assert (SUB, 2) not in places("x = a - b - 1\n")


def test_layout_and_comments_do_not_hide_a_mutant():
    moved = SOURCE.replace("  # what is left", "").replace(
        "self.size - heard", "(self.size\n - heard)"
    )
    assert find(only(SOURCE), [only(moved)], NOTHING) == only(moved)


def test_a_renamed_mutant_is_found_by_the_map_of_renames():
    words = {"Reader": "Channel", "rest": "remaining", "heard": "received"}
    source = SOURCE
    for old, new in words.items():
        source = source.replace(old, new)
    moved = only(source, module="channel.py")
    names = {"modules": {"reader.py": "channel.py"}, "functions": {}, "words": words}
    assert find(only(SOURCE), [moved], names) == moved
    assert find(only(SOURCE), [moved], NOTHING) is None


def test_a_statement_of_the_same_shape_in_the_same_function_is_the_mutant():
    renamed = only(SOURCE.replace("heard", "received"))
    assert find(only(SOURCE), [renamed], NOTHING) == renamed


@pytest.mark.parametrize("other", ["def other(self, heard):", "def more(self, heard):"])
def test_a_mutant_that_two_functions_could_hold_is_not_found(other):
    lines = SOURCE.splitlines()
    double = "\n".join([*lines, *lines[2:]]).replace(
        "def rest(self, heard):", "def a(self, heard):", 1
    )
    double = double.replace("def rest(self, heard):", other)
    candidates = sites("reader.py", double, SUB)
    assert len(candidates) == 2
    assert find(only(SOURCE), candidates, NOTHING) is None
