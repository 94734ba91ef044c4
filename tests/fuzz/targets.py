"""Fuzz targets: parsing request bodies and opening a built model.

A target either succeeds or raises one of the service's errors. It does not depend on pytest, so that atheris can drive
it in its own environment.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from server.api.dialects import embed, openai, similarity, tokens
from server.errors import ServiceError, StartError
from server.model.artifact import open_artifact
from server.model.tokenization import Tokenizer
from server.service.embed_request import Asker
from server.settings import resolve
from tests.unit.server import tiny

PARSERS = (embed.parse, openai.parse, similarity.parse, tokens.parse)
Target = Callable[[bytes], bool]

BODIES = (
    b'{"text": "a"}',
    b'{"texts": ["a", "b c"], "input_type": "query", "truncate": "END", "normalize": false, "dimensions": 4}',
    b'{"inputs": [[1, 3, 2], [3.0, 4]], "truncation_direction": "Left", "prompt_name": "query"}',
    b'{"input": ["a", "\\ud83d\\ude00"], "model": "tiny", "encoding_format": "base64", "user": "u", "dimensions": 8}',
    b'{"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}, "parameters": {"truncate": true}}',
    b'{"inputs": "a", "add_special_tokens": false}',
    b'{"text": "a", "text": null, "x": [1e999, -0, 99999999999999999999, NaN]}',
)


class Bodies:
    """Parses a request body, with a tiny model. The first byte selects the dialect."""

    def __init__(self, folder: Path) -> None:
        tiny.write_model(folder)
        manifest = open_artifact(folder, tiny.NAME, "fp32").manifest
        self._asker = Asker(resolve({"MAX_TEXT_CHARS": "64", "MAX_CLIENT_BATCH_SIZE": "8"}), manifest)

    def __call__(self, data: bytes) -> bool:
        """Return whether the body is valid; propagate exceptions other than service errors."""
        parse = PARSERS[data[0] % len(PARSERS)] if data else PARSERS[0]
        try:
            parse(data[1:], self._asker)
        except ServiceError:
            return False
        return True

    def examples(self) -> list[bytes]:
        """Return the seed corpus: every body for every dialect."""
        return [bytes([place]) + body for place in range(len(PARSERS)) for body in BODIES]


class Artifacts:
    """Opens a built model with one file replaced. The first byte selects the file.

    It is the manifest, the graph, or the tokenizer with a manifest that matches it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        tiny.write_model(folder)
        self._files = [folder / name for name in (f"{tiny.NAME}.json", f"{tiny.NAME}.onnx", _TOKENIZER)]
        self._good = [path.read_bytes() for path in self._files]
        self._changed: set[int] = set()

    def __call__(self, data: bytes) -> bool:
        """Return whether the model opens; propagate exceptions other than StartError."""
        place = data[0] % len(self._files) if data else 0
        for other in self._changed - {place}:
            self._files[other].write_bytes(self._good[other])
        self._changed = {0, place}
        self._files[place].write_bytes(data[1:])
        if self._files[place].name == _TOKENIZER:
            self._describe(data[1:])
        try:
            artifact = open_artifact(self._folder, tiny.NAME, "fp32")
            Tokenizer(artifact.tokenizer_path, artifact.manifest.max_tokens)
        except StartError:
            return False
        return True

    def examples(self) -> list[bytes]:
        """Return the seed corpus: the files as built."""
        return [bytes([place]) + good for place, good in enumerate(self._good)]

    def _describe(self, tokenizer: bytes) -> None:
        fields = json.loads(self._good[0])
        fields["tokenizer"] |= {"bytes": len(tokenizer), "sha256": hashlib.sha256(tokenizer).hexdigest()}
        self._files[0].write_text(json.dumps(fields))


_TOKENIZER = f"{tiny.NAME}.tokenizer.json"
TARGETS: dict[str, type[Bodies] | type[Artifacts]] = {"bodies": Bodies, "artifacts": Artifacts}


def folder() -> "tempfile.TemporaryDirectory[str]":
    """Make a folder for a target's model, on a RAM disk if possible: it is rewritten thousands of times."""
    memory = Path("/dev/shm")  # noqa: S108 - the name within is unique
    return tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None)
