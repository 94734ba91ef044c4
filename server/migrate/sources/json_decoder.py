"""Decodes JSON values without loss, with the standard library's decoder.

Faster decoders keep only the last of two equal keys, round integers beyond 64 bits and refuse NaN, which Python and
pandas write. Here NaN and the infinities are read as numbers; `values` decides whether a field accepts them.
"""

import json
from collections.abc import Sequence

from server.migrate.sources.source import Broken


class Decoder:
    """Decodes one value at a time."""

    def __init__(self) -> None:
        self._decode = json.JSONDecoder(object_pairs_hook=self._object).raw_decode
        self._doubled: str | None = None

    def decode(self, text: str, at: int = 0) -> tuple[object, int]:
        """Return the value at `at` and its end; the value is a Broken if an object in it has two equal keys.

        Raises:
            json.JSONDecodeError: it is not JSON, or incomplete.
            ValueError: it is a number with more digits than Python reads (4,300).
            RecursionError: it is nested too deeply.
        """
        self._doubled = None
        value, end = self._decode(text, at)
        if self._doubled is not None:
            value = Broken(f"the key {self._doubled!r} comes twice in one object, of which one value would be lost")
        return value, end

    def _object(self, pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [name for name, _ in pairs]
            self._doubled = next(name for name in names if names.count(name) > 1)
        return members
