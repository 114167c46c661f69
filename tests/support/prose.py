"""The prose of the product, counted: ``python -m tests.support.prose`` prints the counts.

Words are those of strings, docstrings and comments of the product, and of the pages for people.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("lineage", "tasks", "workflows")
PER = 10_000
MOST_PER_10_000 = 2.0
"""How often a word of the list may stand in 10,000 words."""
AVOIDED = {
    "asked": r"\basked\b",
    "stands": r"\bstands?\b",
    "nobody": r"\bnobody\b",
    "whose, whom": r"\b(?:whose|whom|whoever|whomever)\b",
    "is no, are none": r"\b(?:is|are|was|were) (?:no|none)\b",
    "told": r"\btold\b",
    "heard": r"\bheard\b",
}
_FRAGMENT = re.compile(
    r"^(?:Of|In|At|By|For|From|To|With|Without|Over|Under|Per|Where|Whose|Whom|Which|That|Who|And|"
    r"But|So|As|Before|After|Among|Between|Into|Since|Until|Than|Beyond)\b"
)
"""How a docstring begins that is part of a sentence."""
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


@dataclass(frozen=True)
class Text:
    """A piece of prose, and where it is."""

    where: str
    words: str
    documents_a_field: bool = False


def product_texts() -> Iterator[Text]:
    """Yield strings, docstrings and comments of the product."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from texts_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))


def page_texts() -> Iterator[Text]:
    """Yield the pages for people, without their code blocks."""
    derived = ROOT / "docs" / "derivations"
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if derived not in path.parents:
            prose = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
            yield Text(path.relative_to(ROOT).as_posix(), re.sub(r"`[^`]*`", "", prose))


def texts_of(name: str, source: str) -> Iterator[Text]:
    """Yield the prose of one module."""
    tree = ast.parse(source)
    fields = {
        id(second.value)
        for node in ast.walk(tree)
        for body in [getattr(node, "body", [])]
        if isinstance(body, list)
        for first, second in pairwise(body)
        if isinstance(first, ast.AnnAssign | ast.Assign) and _is_string(second)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield Text(f"{name}:{node.lineno}", node.value, id(node) in fields)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(f"{name}:{token.start[0]}", token.string)


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def num_words(texts: list[Text]) -> int:
    """Return how many words there are."""
    return sum(len(_WORD.findall(text.words)) for text in texts)


def places(texts: list[Text], pattern: str) -> list[str]:
    """Return where a pattern occurs, once for each time."""
    found = re.compile(pattern, re.IGNORECASE)
    return [text.where for text in texts for _ in found.findall(text.words)]


def fragments(texts: list[Text]) -> list[str]:
    """Return the fields with a docstring that is neither a noun phrase nor a sentence."""
    return [
        text.where
        for text in texts
        if text.documents_a_field and _FRAGMENT.match(text.words.strip())
    ]


def main() -> int:
    """Print the counts, and with ``-v`` the places; return 1 where one is too high."""
    failed = False
    product, pages = list(product_texts()), list(page_texts())
    for title, texts in (("product", product), ("pages", pages)):
        total = num_words(texts)
        sys.stdout.write(f"{title}: {total:,} words\n")
        for name, pattern in AVOIDED.items():
            found = places(texts, pattern)
            share = PER * len(found) / total
            failed |= share > MOST_PER_10_000
            sys.stdout.write(f"  {name:18} {len(found):5}  {share:6.1f} per 10,000\n")
            if "-v" in sys.argv:
                sys.stdout.writelines(f"      {place}\n" for place in found)
    found = fragments(product)
    sys.stdout.write(f"docstrings of fields that are fragments: {len(found)}\n")
    if "-v" in sys.argv:
        sys.stdout.writelines(f"      {place}\n" for place in found)
    return int(failed or bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
