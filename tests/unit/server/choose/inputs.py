import json
from collections.abc import Iterable
from itertools import islice, product
from pathlib import Path
from typing import Any

WORDS = ("a", "b", "c", "the", "cat", "dog", "sat", "warm", "ready")


def different(count: int, start: int = 0) -> list[str]:
    """Return texts of the tiny model's words, none twice."""
    return [" ".join(words) for words in islice(product(WORDS, repeat=5), start, start + count)]


def write_lines(path: Path, entries: Iterable[Any]) -> Path:
    """Write JSONL."""
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), "utf-8")
    return path
