"""JSONL: one JSON value per line, either a text or an object with the fields."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.sources.fields import Entry, Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.json_decoder import Decoder
from server.migrate.sources.lines import lines
from server.migrate.sources.source import Broken, Source

BLANK = " \t\r\n"


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file at `location`; `options` name the fields."""
    return FileSource(Path(location), Fields.of(options), _entries)


def _entries(path: Path) -> Iterator[Entry]:
    decoder = Decoder()
    # Blank lines are skipped, as in other readers of this format.
    filled = ((number, line) for number, line in enumerate(lines(path), 1) if line.strip())
    for place, (number, line) in enumerate(filled):
        entry = _decode(decoder, number, line)
        if not place and (isinstance(entry, list) or line.strip() in (b"[", b"{")):
            raise MigrateError(f"{path} begins with a JSON list or object of many lines; say --input-format json")
        yield None, entry


def _decode(decoder: Decoder, number: int, line: bytes) -> object:
    try:
        text = line.decode().strip(BLANK)
        value, end = decoder.decode(text)
    except UnicodeDecodeError as error:
        return Broken(f"line {number} is not UTF-8: {error.reason} at byte {error.start}")
    except (ValueError, RecursionError) as error:
        return Broken(f"line {number} is not JSON: {error}")
    if end < len(text):
        return Broken(f"line {number} is not one JSON value: another begins at character {end + 1}")
    return Broken(f"line {number}: {value.reason}") if isinstance(value, Broken) else value
