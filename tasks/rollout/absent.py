"""Placeholders for packages that a library imports and a release does not carry.

A library may import all of its parts at once, while a grader needs one of them. The import of a
package that is not carried gives a placeholder then, and its first use stops by name. Standard
library only.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class NotCarriedError(BaseException):
    """A package was used that the release does not carry; no handler of a scorer hides it."""


def stand_in_for(*packages: str) -> None:
    """Let ``packages`` be imported where the release does not carry them."""
    sys.meta_path.append(_Last(packages))


class _Absent(type):
    def __getattr__(cls, attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise NotCarriedError(cls.__name__)

    def __call__(cls, *_arguments: object, **_named: object) -> object:
        raise NotCarriedError(cls.__name__)


class _Placeholder(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _Absent(f"{self.__name__}.{attribute}", (), {})


class _Last(MetaPathFinder, Loader):
    """Finds what is imported and not carried, after all other finders."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = frozenset(packages)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self._packages:
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass
