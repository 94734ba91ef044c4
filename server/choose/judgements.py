"""Reads which texts are relevant to which queries: TREC's qrels (four columns), or BEIR's (three, with a header)."""

import math
from pathlib import Path

from server.choose.errors import ChooseError
from server.migrate.errors import MigrateError
from server.migrate.sources.lines import lines

# The grade of each judged text, by query, both by their ids.
Judgements = dict[str, dict[str, float]]


def read(path: Path) -> Judgements:
    """Read a file of `query id, text id, grade`, or of `query id, 0, text id, grade`, separated by tabs or spaces.

    A first line whose last column is no number is a header.

    Raises:
        ChooseError: a line is neither, a pair is judged twice with two grades, or no text is relevant to any query.
    """
    if not path.is_file():
        raise ChooseError(f"--qrels {path}: no such file")
    judged: Judgements = {}
    try:
        for number, line in enumerate(lines(path), 1):
            _read_line(judged, number, line.decode(), f"--qrels {path}, line {number}")
    except UnicodeDecodeError:
        raise ChooseError(f"--qrels {path} is not UTF-8") from None
    except MigrateError as error:
        raise ChooseError(f"--qrels: {error}") from None
    if not any(grade > 0 for grades in judged.values() for grade in grades.values()):
        what = "no text is relevant to a query: every grade is 0" if judged else "holds no judgements"
        raise ChooseError(f"--qrels {path}: {what}")
    return judged


def _read_line(judged: Judgements, number: int, line: str, where: str) -> None:
    if not line.strip():
        return
    columns = [part.strip() for part in line.split("\t")] if line.count("\t") >= 2 else line.split()
    grade = _number(columns[-1])
    if number == 1 and len(columns) in (3, 4) and grade is None:
        return
    if len(columns) not in (3, 4) or grade is None or not math.isfinite(grade) or not all(columns):
        raise ChooseError(f"{where}: expected `query id, text id, grade`, or TREC's four columns; found {line[:80]!r}")
    query, text = columns[0], columns[-2]
    if judged.setdefault(query, {}).setdefault(text, grade) != grade:
        raise ChooseError(f"{where}: {query} and {text} are judged twice, with two grades")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
