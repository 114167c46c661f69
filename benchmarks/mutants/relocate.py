"""The same mutant in code that was renamed and moved since it was drawn."""

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.mutants.sites import Site

RENAMES = Path(__file__).parent / "renames.json"


def renames() -> dict[str, dict[str, str]]:
    """Return what was renamed: ``modules``, ``functions`` and ``words``, old names to new ones."""
    found: dict[str, dict[str, str]] = json.loads(RENAMES.read_text("utf-8"))
    return found


def find(drawn: Site, candidates: Sequence[Site], names: dict[str, dict[str, str]]) -> Site | None:
    """Return the candidate that is the drawn mutant, or None where there is not exactly one.

    Candidates are by the same operator. The mutant has the same renamed statement in the same
    renamed function; else the same renamed statement; else a statement of the same shape in the
    same function.
    """
    words = names["words"]
    module = names["modules"].get(drawn.module, drawn.module)
    function = names["functions"].get(f"{drawn.module}:{drawn.function}")
    function = function or _renamed(drawn.function, words)
    before, after = _renamed(drawn.before, words), _renamed(drawn.after, words)
    here = [site for site in candidates if site.module == module and site.function == function]
    shape = _shape(drawn.before), _shape(drawn.after)
    for group in (
        [site for site in here if (site.before, site.after) == (before, after)],
        [site for site in candidates if (site.before, site.after) == (before, after)],
        [site for site in here if (_shape(site.before), _shape(site.after)) == shape],
    ):
        if group:
            same_text = len({(site.module, site.function) for site in group}) == 1
            return group[0] if same_text else None
    return None


def _renamed(text: str, words: dict[str, str]) -> str:
    """Return code with its identifiers renamed."""
    return re.sub(r"[A-Za-z_]\w*", lambda word: words.get(word[0], word[0]), text)


def _shape(text: str) -> str:
    """Return code with each identifier replaced by the place where it first appears."""
    places: dict[str, str] = {}
    pattern = r"[A-Za-z_]\w*"
    ast.parse(text)
    return re.sub(pattern, lambda word: places.setdefault(word[0], f"n{len(places)}"), text)
