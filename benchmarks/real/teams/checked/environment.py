"""Grades responses by the instruction checkers of IFEval, from the package if-verifiable."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any

from tasks.rollout.environment import Grade, Prompt, Turn

LONGEST = 4000
"""Characters of a response that are read, counted from its start."""
ABSENT = ("datasets", "emoji", "langdetect", "nltk", "syllapy")
"""Packages that if-verifiable imports and this release does not carry: for the benchmarks' data,
and for checkers of languages, sentences and words."""


class NotCarriedError(BaseException):
    """A package was used that this release does not carry; no handler of a scorer hides it."""


class _Absent(type):
    def __getattr__(cls, attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise NotCarriedError(cls.__name__)

    def __call__(cls, *_arguments: object, **_named: object) -> object:
        raise NotCarriedError(cls.__name__)


class _Placeholder(types.ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _Absent(f"{self.__name__}.{attribute}", (), {})


class _Last(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what is imported and not carried, after all other finders."""

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


sys.meta_path.append(_Last())
REGISTRY = importlib.import_module("if_verifiable.ifeval.instructions_registry")
_evaluate: Any = importlib.import_module("if_verifiable.common").evaluate_instructions


class Checked:
    """One turn, no tool."""

    max_turns = 1

    def respond(self, prompt: Prompt, turns: Sequence[Turn]) -> str | None:
        """End the episode after the first answer."""
        return None

    def grade(self, prompt: Prompt, turns: Sequence[Turn]) -> Grade:
        """Give 1 for a response that follows every instruction, in the strict reading."""
        names: Any = prompt.task["instructions"]
        arguments: Any = prompt.task["arguments"]
        question = prompt.messages[-1].content
        said = turns[-1].content[:LONGEST]
        results, scores = _evaluate(said, names, arguments, question, REGISTRY.INSTRUCTION_DICT)
        missed = [result.instruction_id for result in results if not result.strict_pass]
        right = len(results) == len(names) and scores.binary_strict == 1
        return Grade(1.0) if right else Grade(0.0, f"not followed: {', '.join(missed)}")


ENVIRONMENT = Checked()
