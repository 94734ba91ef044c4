"""JSON values as every reader takes them: by the standard library's decoder, with nothing lost on the way.

A faster decoder takes the last of two equal keys, rounds whole numbers beyond 64 bits and refuses NaN, which Python and
pandas write. Here NaN and the infinities are read like other numbers; what may become of them, their field decides.
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
        """Return the value that begins at `at`, and where it ends; Broken where two keys of an object are equal.

        Raises:
            json.JSONDecodeError: it is not JSON, or not whole.
            ValueError: it is a number of more digits than Python reads (4,300).
            RecursionError: it is nested too deeply.
        """
        self._doubled = None
        value, end = self._decode(text, at)
        if self._doubled is not None:
            value = Broken(f"the key {self._doubled!r} comes twice in one object, of which one value would be lost")
        return value, end

    def _object(self, pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            self._doubled = next(name for name in names if names.count(name) > 1)
        return found
