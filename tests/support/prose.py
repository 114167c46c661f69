"""The prose of the product, counted: ``python -m tests.support.prose`` prints the counts.

Words are those of strings, docstrings, comments and templates of the product, and of the pages for
people. ``-v`` prints each place. ``draw`` prints random help texts and errors, always the same ones
for a seed: ``paraphrases.md`` holds what a reader took from them without the code.
"""

import ast
import io
import random
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.support.project_files import syntax_tree

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("lineage", "tasks", "workflows")
PER = 10_000
MOST_PER_10_000 = 2.0
"""Maximum number of uses of an avoided word per 10,000 words."""
AVOIDED = {
    "asked": r"\basked\b",
    "stands": r"\bstands?\b",
    "nobody": r"\bnobody\b",
    "whose, whom": r"\b(?:whose|whom|whoever|whomever)\b",
    "is no, are none": r"\b(?:is|are|was|were) (?:no|none)\b",
    "told": r"\btold\b",
    "heard": r"\bheard\b",
}
BRITISH = r"\b\w*(?:aviour|avour|olour|alis[aei]|atalogue)\w*\b"
_FRAGMENT = re.compile(
    r"^(?:Of|In|At|By|For|From|To|With|Without|Over|Under|Per|Where|Whose|Whom|Which|That|Who|And|"
    r"But|So|As|Before|After|Among|Between|Into|Since|Until|Than|Beyond)\b"
)
"""First words of a docstring that is only a part of a sentence."""
_TAG = re.compile(
    r"{#.*?#}|{%-?\s*(?:extends|from|include|import|set|block|for|if|elif|macro).*?%}|<[^>]*>",
    re.DOTALL,
)
"""What is not prose in a template: comments, control tags and HTML."""
DRAWN, SEED = 50, 15
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


@dataclass(frozen=True)
class Text:
    """A piece of prose, and where it is."""

    where: str
    words: str
    documents_a_field: bool = False


def product_texts() -> Iterator[Text]:
    """Yield strings, docstrings, comments and templates of the product."""
    for name, source in _modules():
        yield from texts_of(name, source)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.j2")):
            words = _TAG.sub(" ", path.read_text("utf-8"))
            yield Text(path.relative_to(ROOT).as_posix(), words)


def _modules() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def page_texts() -> Iterator[Text]:
    """Yield the pages for people, without their code blocks."""
    derived = ROOT / "docs" / "derivations"
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if derived not in path.parents:
            prose = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
            yield Text(path.relative_to(ROOT).as_posix(), re.sub(r"`[^`]*`", "", prose))


def names_of_tests() -> Iterator[Text]:
    """Yield the names of the tests, as sentences."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        where = path.relative_to(ROOT).as_posix()
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                words = node.name.removeprefix("test_").replace("_", " ")
                yield Text(f"{where}:{node.lineno}", words)


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


def rates(texts: list[Text]) -> dict[str, float]:
    """Return the uses of each avoided word per 10,000 words."""
    total = num_words(texts)
    return {name: PER * len(places(texts, pattern)) / total for name, pattern in AVOIDED.items()}


def errors() -> Iterator[Text]:
    """Yield the messages of errors, with names in braces for values."""
    for name, source in _modules():
        raised = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise)]
        for message in _strings(node.exc for node in raised if node.exc):
            yield Text(f"{name}:{message.lineno}", _message(message))


def helps() -> Iterator[Text]:
    """Yield the help of commands and options, and the descriptions of settings."""
    for name, source in _modules():
        tree = ast.parse(source)
        if name.rsplit("/", 1)[-1] in ("settings.py", "launch_form.py", "round_form.py"):
            yield from (text for text in texts_of(name, source) if text.documents_a_field)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and any(
                "command" in ast.unparse(decorator) for decorator in node.decorator_list
            ):
                yield Text(f"{name}:{node.lineno}", ast.get_docstring(node) or "")
            elif isinstance(node, ast.keyword) and node.arg == "help":
                for message in _strings([node.value]):
                    yield Text(f"{name}:{message.lineno}", _message(message))


def drawn(texts: Iterable[Text], count: int, seed: int) -> list[Text]:
    """Return so many texts of at least four words, chosen by the seed."""
    different = {text.words: text for text in texts if len(_WORD.findall(text.words)) > 3}
    return random.Random(seed).sample([different[words] for words in sorted(different)], count)


def _strings(nodes: Iterable[ast.AST]) -> Iterator[ast.Constant | ast.JoinedStr]:
    for node in nodes:
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        ):
            yield node
        else:
            yield from _strings(ast.iter_child_nodes(node))


def _message(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    parts = (
        f"{{{ast.unparse(part.value)}}}"
        if isinstance(part, ast.FormattedValue)
        else ast.literal_eval(part)
        for part in node.values
    )
    return "".join(parts)


def main() -> int:
    """Print the counts, and with ``-v`` the places; return 1 where one is too high."""
    if "draw" in sys.argv:
        for text in drawn([*helps(), *errors()], DRAWN, SEED):
            sys.stdout.write(f"{text.where}\n    {' '.join(text.words.split())}\n")
        return 0
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
