"""What embeds texts again: the model on this machine, or a server."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from server.api.operation import EMBEDDING_SPACE
from server.inference.engine import Vectors
from server.migrate.commands.model import start_runner
from server.migrate.pipeline.embed import Embedder
from server.migrate.pipeline.prepare import Preparer
from server.service.embed_request import Asker
from server.service.startup import load
from server.settings import Settings
from server.verify.errors import VerifyError

TIMEOUT_S = 60
AT_ONCE = 16
# 16 vectors of 4,096 components, in the longest decimals.
ANSWER_BYTES = 8_000_000


class Embeds(Protocol):
    """Something that embeds texts; `space` is known once it has, and empty if it does not say one."""

    space: str

    def embed(self, texts: Sequence[str], input_type: str) -> Vectors:
        """Return the vectors of `texts`, [texts, dimension].

        Raises:
            VerifyError: there are none.
        """
        ...


class LocalModel:
    """The model that the settings select, on this machine."""

    def __init__(self, settings: Settings) -> None:
        """Open the model.

        Raises:
            StartError: it cannot be used as set.
        """
        self._loaded = load(settings)
        self._asker = Asker(settings, self._loaded.artifact.manifest)
        self.space = self._loaded.artifact.space

    def __str__(self) -> str:
        return f"the model {self._loaded.artifact.manifest.name} here"

    def embed(self, texts: Sequence[str], input_type: str) -> Vectors:
        """Return the vectors of `texts`."""
        prompt = self._asker.prompt(input_type, None)
        preparer = Preparer(self._loaded.tokenizer, prompt, None, self._asker.settings.max_text_chars)
        encoded = preparer.encode(list(texts))
        refused = [encoding for encoding in encoded if isinstance(encoding, str)]
        if refused:
            raise VerifyError(f"{self} embeds one of the texts not: {refused[0]}")
        sequences = [np.array(encoding.ids, np.int64) for encoding in encoded if not isinstance(encoding, str)]
        vectors, _ = self._embedder.vectors(sequences)
        return vectors

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder(*start_runner(self._loaded), None, None)


class RemoteServer:
    """A running server of this project, by its URL."""

    def __init__(self, url: str, keys: str = "") -> None:
        """Use the server at `url` with the first of `keys`, which are written as in API_KEY.

        Raises:
            VerifyError: the URL holds a user or a password.
        """
        if "@" in url:
            raise VerifyError("the address holds a user or a password; give it without, and the key in API_KEY")
        self.url = url.rstrip("/")
        key = keys.split(",", maxsplit=1)[0].strip()
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self.space = ""

    def __str__(self) -> str:
        return self.url

    def embed(self, texts: Sequence[str], input_type: str) -> Vectors:
        """Return the vectors of `texts`, asked for in parts."""
        parts = [self._ask(texts[start : start + AT_ONCE], input_type) for start in range(0, len(texts), AT_ONCE)]
        if len({part.shape[1] for part in parts}) != 1:
            raise VerifyError(f"{self.url} answers with vectors of several sizes")
        return np.concatenate(parts)

    def _ask(self, texts: Sequence[str], input_type: str) -> Vectors:
        answer, headers = self._post({"texts": list(texts), "input_type": input_type})
        try:
            vectors = np.array(json.loads(answer)["embeddings"], np.float32)
        except (ValueError, LookupError, TypeError, RecursionError):
            vectors = np.empty(0, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise VerifyError(f"{self.url}/embed did not answer with one vector for each text")
        space = headers.get(EMBEDDING_SPACE, "")
        if self.space and space != self.space:
            other = space or "one without an id"
            raise VerifyError(f"{self.url} answers from several spaces: {self.space} and {other}")
        self.space = space
        return vectors

    def _post(self, body: Mapping[str, object]) -> tuple[bytes, Mapping[str, str]]:
        try:
            request = urllib.request.Request(f"{self.url}/embed", json.dumps(body).encode(), self._headers)  # noqa: S310
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - http or https
                answer: bytes = response.read(ANSWER_BYTES + 1)
                told = {name.lower(): value for name, value in response.headers.items()}
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(500).decode(errors="replace")
            raise VerifyError(f"{self.url}/embed answered {error.code}: {said!r}") from None
        except (OSError, ValueError) as error:
            raise VerifyError(f"no server answers at {self.url}: {getattr(error, 'reason', error)}") from None
        if len(answer) > ANSWER_BYTES:
            raise VerifyError(f"{self.url}/embed answered with more than {ANSWER_BYTES} bytes for {AT_ONCE} texts")
        return answer, told
