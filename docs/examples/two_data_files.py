"""Writes the two data files of the guide "your own model": sums.jsonl and reversed.jsonl."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

WORDS = "apple river stone cloud tiger lemon chair paper green winter music bread".split()


def sums() -> Iterator[tuple[str, str]]:
    """Yield every sum of a number below 100 and one below 10."""
    for first in range(1, 100):
        for second in range(1, 10):
            yield f"What is {first} + {second}?", str(first + second)


def reversed_words(count: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Yield lists of three to five words, and the same words from the last to the first."""
    for _ in range(count):
        words = rng.sample(WORDS, rng.randint(3, 5))
        yield f"Reverse the order: {' '.join(words)}", " ".join(reversed(words))


def write(path: Path, rows: Iterator[tuple[str, str]]) -> None:
    """Write one question and its answer a line."""
    lines = (json.dumps({"question": asked, "answer": answer}) for asked, answer in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path("sums.jsonl"), sums())
    write(Path("reversed.jsonl"), reversed_words(800, random.Random(0)))
